"""What an operator does with messages: `messages release|cancel|arrived|resend`, and `go-live`."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

from rich.console import Console

from chalicelib.errors import BadRequest
from cli import output
from cli.arguments import add_business, add_ids, add_reason, command
from cli.source import opened

# Verb → what it does, and what a message is then.
_ACTIONS = {
    "cancel": ("annule des messages ; ils ne seront pas prévus de nouveau", "annulé"),
    "arrived": ("des messages incertains sont bien arrivés", "accepté"),
    "resend": ("renvoie des messages incertains, refusés ou non remis", "de nouveau prévu"),
}


def register(subparsers: Any) -> None:
    parser = command(
        subparsers,
        "go-live",
        "met en service l'étape, une entreprise ou un genre",
        _go_live,
        remote=True,
    )
    add_business(parser)
    parser.add_argument("--kind", metavar="GENRE", help="ce genre seulement")
    parser.add_argument(
        "--discard", action="store_true", help="annule ce qui était retenu au lieu de l'envoyer"
    )
    add_reason(parser, required=True)


def add_actions(actions: Any) -> None:
    """Adds the actions of `messages`."""
    parser = command(
        actions,
        "release",
        "laisse partir des messages retenus",
        _release,
        remote=True,
        inside=True,
    )
    add_ids(parser, "*")
    add_business(parser)
    parser.add_argument("--kind", metavar="GENRE", help="tous ceux de ce genre (et de --business)")
    add_reason(parser, required=False)
    for verb, (text, done) in _ACTIONS.items():
        parser = command(actions, verb, text, partial(_by_id, verb, done), remote=True, inside=True)
        add_ids(parser)
        add_reason(parser, required=True)


def _by_id(verb: str, done: str, arguments: Namespace) -> int:
    with opened(arguments) as source:
        acted = source.act(verb, arguments.ids, arguments.reason)
    return _answer(arguments, acted, done)


def _release(arguments: Namespace) -> int:
    scope = (arguments.business, arguments.kind)
    if bool(arguments.ids) == any(scope) or (any(scope) and not all(scope)):
        raise BadRequest("Donnez des numéros de messages, ou bien --business et --kind.")
    with opened(arguments) as source:
        if arguments.ids:
            acted = source.act("release", arguments.ids, arguments.reason)
        else:
            acted = source.release_kind(*scope, arguments.reason)
    return _answer(arguments, acted, "de nouveau prévu")


def _answer(arguments: Namespace, acted: dict[str, Any], done: str) -> int:
    """Exit code: 2 when some were left as they were, 1 when all were."""
    output.answer(arguments, acted, lambda screen, data: _show_acted(screen, data, done))
    if not acted["left"]:
        return 0
    return 2 if acted["changed"] else 1


def _show_acted(screen: Console, data: dict[str, Any], done: str) -> None:
    count = len(data["changed"])
    messages = output.plural(count, "message", "messages")
    output.line(screen, f"{messages} {done if count < 2 else f'{done}s'}.")
    output.table(
        screen,
        ("inchangé", "raison"),
        [(left["id"], left["why"]) for left in data["left"]],
        long="raison",
    )


def _go_live(arguments: Namespace) -> int:
    with opened(arguments) as source:
        went = source.go_live(
            arguments.business, arguments.kind, arguments.reason, discard=arguments.discard
        )
    output.answer(arguments, went, _show_went_live)
    return 0


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
