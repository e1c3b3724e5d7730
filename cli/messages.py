"""`messages` and `message`: what the outbox holds, and what one message says."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from chalicelib.errors import NotFound
from chalicelib.outbox import kinds
from chalicelib.outbox.operator import HOLDS, STATES
from cli import output
from cli.arguments import add_business, command, french, positive
from cli.message_words import EVENTS, code_in_words
from cli.source import opened

# States whose French word takes an s.
AGREEING = ("planned", "held", "accepted", "refused", "uncertain", "cancelled")


def register(subparsers: Any) -> None:
    parser = command(
        subparsers, "messages", "les messages, le plus récent d'abord", _list, remote=True
    )
    parser.add_argument(
        "--state",
        metavar="ÉTAT",
        type=french(STATES, {"sent": "accepted", "envoyé": "accepted"}),
        help=", ".join(f"{word} ({code})" for code, word in STATES.items()),
    )
    parser.add_argument(
        "--hold",
        metavar="RAISON",
        type=french(HOLDS),
        help="retenus : " + ", ".join(f"{word} ({code})" for code, word in HOLDS.items()),
    )
    add_business(parser)
    parser.add_argument("--kind", metavar="GENRE", help="par exemple billing.invoice_followup")
    parser.add_argument("--limit", metavar="N", type=positive, default=50, help="50 par défaut")
    parser = command(
        subparsers, "message", "un message : son texte et son histoire", _message, remote=True
    )
    parser.add_argument("id", metavar="NUMÉRO", type=positive)


def _list(arguments: Namespace) -> int:
    where = {
        "state": arguments.state,
        "hold": arguments.hold,
        "business_id": arguments.business,
        "kind": arguments.kind,
    }
    with opened(arguments) as source:
        data = source.messages(where, arguments.limit)
    output.answer(arguments, data, _show_list)
    return 0


def _message(arguments: Namespace) -> int:
    with opened(arguments) as source:
        data = source.message(arguments.id)
    output.answer(arguments, data, _show_one)
    return 0


def title_of(kind: str) -> str:
    """A kind's French title, or its name when no domain registers it any more."""
    try:
        return kinds.load(kind).title
    except NotFound:
        return kind


def _show_list(screen: Console, data: dict[str, Any]) -> None:
    if not data["messages"]:
        output.line(screen, "Aucun message.")
        return
    total = sum(row["count"] for row in data["counts"])
    split = ", ".join(_counted(row) for row in data["counts"])
    output.line(screen, f"{output.plural(total, 'message', 'messages')} : {split}")
    output.table(
        screen,
        ("n°", "entreprise", "genre", "sujet", "niveau", "à", "état", "planifié le", "détail"),
        [
            (
                row["id"],
                row["business_id"],
                title_of(row["kind"]),
                row["number"] or row["subject"],
                row["step"],
                row["recipient"],
                STATES[row["state"]],
                row["planned_at"],
                row["error"] or code_in_words(row["error_code"]) or _hold(row),
            )
            for row in data["messages"]
        ],
        long="détail",
        shorten=("genre", "à", "sujet", "entreprise"),
        drop=("genre",),
    )
    if len(data["messages"]) < total:
        output.line(screen, f"Les {len(data['messages'])} plus récents (--limit pour plus).")


def _counted(row: dict[str, Any]) -> str:
    """As "2 refusés" or "1 retenu (pièce jointe manquante)"."""
    word = STATES[row["state"]]
    many = f"{word}s" if row["state"] in AGREEING else word
    counted = output.plural(row["count"], word, many)
    return f"{counted} ({_hold(row)})" if row["state"] == "held" else counted


def _state(row: dict[str, Any]) -> str:
    word = STATES[row["state"]]
    return f"{word} ({_hold(row)})" if row["state"] == "held" else word


def _hold(row: dict[str, Any]) -> str:
    reason = row["hold_reason"] or ""
    return HOLDS.get(reason, reason)


def _show_one(screen: Console, data: dict[str, Any]) -> None:
    output.line(screen, f"Message n° {data['id']} : {title_of(data['kind'])}", "bold")
    output.facts(
        screen,
        {
            "entreprise": data["business_id"],
            "état": _state(data),
            "sujet": data["content"].get("number") or data["subject"],
            "niveau": data["step"],
            "cycle": data["cycle"],
            "à": data["recipient"],
            "planifié le": data["planned_at"],
            "par l'exécution": data["run_number"],
            "pas avant": data["not_before"],
            "trop tard après": data["expires_at"],
            "appel": data["submitting_at"],
            "clos": data["settled_at"],
            "fournisseur": " ".join(filter(None, (data["provider"], data["provider_id"]))),
            "Message-ID": data["message_id"],
            "erreur": data["error"] or code_in_words(data["error_code"]),
            "pièces jointes": ", ".join(a["name"] for a in data["attachments"] or ()),
        },
    )
    preview = data.get("preview")
    if data["text"] is not None and preview is None:
        _show_text(screen, data["title"], data["text"])
    elif preview is not None and preview["text"] is not None:
        output.line(screen, "\nTel qu'il partirait maintenant", "bold")
        _show_text(screen, preview["subject"], preview["text"])
    if preview is not None and preview["reason"]:
        why = (preview["why"] or code_in_words(preview["reason"]) or "").rstrip(".")
        output.line(screen, f"\nIl ne partirait pas maintenant : {why}.", "yellow")
    output.table(
        screen,
        ("le", "événement", "par", "raison"),
        [
            (output.when(e["at"]), EVENTS.get(e["event"], e["event"]), e["actor"], e["reason"])
            for e in data["events"]
        ],
        long="raison",
        shorten=("par",),
    )


def _show_text(screen: Console, subject: str, body: str) -> None:
    output.line(screen, f"\nObjet : {subject}", "bold")
    output.line(screen, f"\n{body}")
