"""`ledger`: whether this database is the one that sends, and accepting one that was restored."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from rich.console import Console

from chalicelib.errors import BadRequest
from chalicelib.outbox import restored
from chalicelib.outbox.restored import Accepted, Ledger
from chalicelib.providers.ledger_mark import Mark, MarkStore, open_mark_store
from cli import output
from cli.arguments import add_reason, command, group
from cli.caller import user
from cli.source import Source, database


def register(subparsers: Any) -> None:
    actions = group(subparsers, "ledger", "reconnaît une base restaurée ou copiée")
    command(actions, "show", "dit si cette base est celle qui envoie ici", _show)
    parser = command(
        actions,
        "reconcile",
        "accepte cette base : retient tout ce qui n'est pas parti, et remet les entreprises en "
        "revue",
        _reconcile,
    )
    add_reason(parser, required=True)


def _show(arguments: Namespace) -> int:
    """Exit code: 1 when nothing may leave."""
    with database() as source:
        marks = _marks(source)
        ledger = restored.look(source.engine, marks)
    data = _as_data(ledger) | {"where": marks.where, "says": restored.in_words(ledger, marks)}
    output.answer(arguments, data, _show_ledger)
    return 0 if data["may_send"] else 1


def _reconcile(arguments: Namespace) -> int:
    with database() as source:
        accepted = restored.accept(
            source.engine, _marks(source), by=user(), reason=arguments.reason
        )
    data = _as_data(accepted.ledger) | {
        "now": _mark(accepted.now),
        "held": accepted.held,
        "uncertain": accepted.uncertain,
        "closed": list(accepted.closed),
    }
    output.answer(arguments, data, lambda screen, _: _show_accepted(screen, accepted))
    return 0


def _marks(source: Source) -> MarkStore:
    current = source.settings
    marks = open_mark_store(current.stage, current.ledger_mark_file)
    if marks is None:
        raise BadRequest(
            "Sur local, aucune base n'est surveillée. Pour un serveur qui envoie pour de bon, "
            "renseignez LEDGER_MARK_FILE."
        )
    return marks


def _as_data(ledger: Ledger) -> dict[str, Any]:
    return {
        "standing": ledger.standing,
        "may_send": ledger.standing in ("same", "new"),
        "database": _mark(ledger.database),
        "mark": _mark(ledger.mark) if ledger.mark else None,
    }


def _mark(mark: Mark) -> dict[str, Any]:
    return asdict(mark) | {"deployment": str(mark.deployment)}


def _show_ledger(screen: Console, data: dict[str, Any]) -> None:
    output.facts(
        screen,
        {
            "la base": _in_words(data["database"]),
            "la marque": _in_words(data["mark"]),
            "tenue dans": data["where"],
        },
    )
    output.line(screen, data["says"], "green" if data["may_send"] else "red")
    if not data["may_send"]:
        output.line(screen, restored.REMEDY)


def _in_words(mark: dict[str, Any] | None) -> str:
    if mark is None:
        return "aucune"
    claims = output.plural(mark["claims"], "prise en charge", "prises en charge")
    return f"{mark['deployment']}, {claims}"


def _show_accepted(screen: Console, accepted: Accepted) -> None:
    output.line(screen, "Cette base est désormais celle qui envoie.", "green")
    held = output.plural(accepted.held, "message retenu", "messages retenus")
    doubts = output.plural(accepted.uncertain, "message incertain", "messages incertains")
    output.line(
        screen, f"{held} (./ponctuel messages --hold restored), {doubts} (--state uncertain)."
    )
    output.line(
        screen,
        "Des comptes effacés depuis la sauvegarde sont peut-être revenus : ./ponctuel accounts "
        "replay",
    )
    if accepted.closed:
        output.line(
            screen,
            f"En revue jusqu'à leur nouvelle mise en service : {', '.join(accepted.closed)}.",
        )
