"""`release`, `cancel`, `arrived`, `resend` and `go-live`: what an operator does with messages."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console
from sqlalchemy import text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox import operator
from chalicelib.outbox.go_live import go_live
from chalicelib.outbox.operator import Acted
from cli import output
from cli.arguments import add_business, add_ids, add_reason, command
from cli.source import Source, database, user

_BUSINESS = text("SELECT 1 FROM ponctuel.businesses WHERE id = :id")


def register(subparsers: Any) -> None:
    parser = command(subparsers, "release", "laisse partir des messages retenus", _release)
    add_ids(parser, "*")
    add_business(parser)
    parser.add_argument("--kind", metavar="GENRE", help="tous ceux de ce genre (et de --business)")
    add_reason(parser, required=False)
    for name, text_, act, done in (
        ("cancel", "annule des messages ; ils ne seront pas prévus de nouveau", operator.cancel,
         "annulé"),
        ("arrived", "des messages incertains, ou retenus après une restauration, sont bien arrivés",
         operator.arrived, "accepté"),
        ("resend", "renvoie des messages incertains ou refusés", operator.resend,
         "de nouveau prévu"),
    ):  # fmt: skip
        parser = command(subparsers, name, text_, partial(_by_id, act, done))
        add_ids(parser)
        add_reason(parser, required=True)
    parser = command(
        subparsers, "go-live", "met en service l'étape, une entreprise ou un genre", _go_live
    )
    add_business(parser)
    parser.add_argument("--kind", metavar="GENRE", help="ce genre seulement")
    parser.add_argument(
        "--discard", action="store_true", help="annule ce qui était retenu au lieu de l'envoyer"
    )
    add_reason(parser, required=True)


def _by_id(act: Callable[..., Acted], done: str, arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        acted = act(connection, arguments.ids, by=user(), reason=arguments.reason)
    return _answer(arguments, acted, done)


def _release(arguments: Namespace) -> int:
    scope = (arguments.business, arguments.kind)
    if bool(arguments.ids) == any(scope) or (any(scope) and not all(scope)):
        raise BadRequest("Donnez des numéros de messages, ou bien --business et --kind.")
    with database() as source, source.transaction() as connection:
        told = {"by": user(), "reason": arguments.reason}
        if arguments.ids:
            acted = operator.release(connection, arguments.ids, **told)
        else:
            acted = operator.release_kind(connection, *scope, **told)
    return _answer(arguments, acted, "de nouveau prévu")


def _answer(arguments: Namespace, acted: Acted, done: str) -> int:
    """Exit code: 2 when some were left as they were, 1 when all were."""
    output.answer(arguments, asdict(acted), lambda screen, _: _show_acted(screen, acted, done))
    if not acted.left:
        return 0
    return 2 if acted.changed else 1


def _show_acted(screen: Console, acted: Acted, done: str) -> None:
    count = len(acted.changed)
    messages = output.plural(count, "message", "messages")
    output.line(screen, f"{messages} {done if count < 2 else f'{done}s'}.")
    output.table(
        screen, ("inchangé", "raison"), [(left.id, left.why) for left in acted.left], long="raison"
    )


def _go_live(arguments: Namespace) -> int:
    with database() as source:
        if arguments.business is not None:
            _require_business(source, arguments.business)
        with source.transaction() as connection:
            went = go_live(
                connection,
                business_id=arguments.business,
                kind=arguments.kind,
                by=user(),
                reason=arguments.reason,
                discard=arguments.discard,
            )
    output.answer(arguments, asdict(went), _show_went_live)
    return 0


def _require_business(source: Source, business_id: str) -> None:
    with source.transaction() as connection:
        if connection.execute(_BUSINESS, {"id": business_id}).first() is None:
            raise NotFound(f"L'entreprise « {business_id} » n'existe pas.")


def _show_went_live(screen: Console, data: dict[str, Any]) -> None:
    if data["opened"]:
        names = [
            "l'étape" if business == "*" else business if kind == "*" else f"{business} {kind}"
            for business, kind in data["opened"]
        ]
        output.line(screen, f"En service : {', '.join(names)}.", "green")
    else:
        output.line(screen, "C'était déjà en service.")
    for count, one, many in (
        (data["released"], "partira au prochain envoi", "partiront au prochain envoi"),
        (data["discarded"], "est annulé", "sont annulés"),
        (data["still_held"], "reste retenu", "restent retenus"),
    ):
        if count:
            messages = output.plural(count, "message", "messages")
            output.line(screen, f"{messages} {one if count < 2 else many}.")
