"""`messages`: what the outbox holds, what one message says, and what to do with them."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from chalicelib.errors import NotFound
from chalicelib.outbox import kinds
from chalicelib.outbox.operator import HOLDS, RELEASABLE, STATES
from chalicelib.outbox.reading import CHANNELS
from cli import operate, output
from cli.arguments import add_business, add_channel, add_since, command, french, positive
from cli.message_words import EVENTS, INTENTS, actor_in_words, code_in_words
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
    add_channel(parser)
    parser.add_argument("--person", metavar="CLIENT", help="identifiant du client, exactement")
    parser.add_argument("--contact", metavar="CONTACT", help="adresse ou numéro, exactement")
    add_since(parser)
    parser.add_argument("--limit", metavar="N", type=positive, default=50, help="50 par défaut")
    actions = parser.add_subparsers(metavar="ACTION", dest="action", title="actions ")
    parser = command(
        actions, "show", "un message : son texte et son histoire", _show, remote=True, inside=True
    )
    parser.add_argument("id", metavar="NUMÉRO", type=positive)
    operate.add_actions(actions)


def _list(arguments: Namespace) -> int:
    names = ("state", "hold", "kind", "channel", "person", "contact", "since")
    where = {name: getattr(arguments, name) for name in names}
    where["business_id"] = arguments.business
    with opened(arguments) as source:
        data = source.messages(where, arguments.limit)
    output.answer(arguments, data, _show_list)
    return 0


def _show(arguments: Namespace) -> int:
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
        (
            "n°",
            "entreprise",
            "genre",
            "sujet",
            "niveau",
            "canal",
            "à",
            "état",
            "planifié le",
            "détail",
        ),
        [
            (
                row["id"],
                row["business_id"],
                title_of(row["kind"]),
                row["number"] or row["subject"],
                row["step"],
                CHANNELS.get(row["channel"], row["channel"]),
                row["contact"] or row["recipient"],
                STATES[row["state"]],
                row["planned_at"],
                _detail(row),
            )
            for row in data["messages"]
        ],
        long="détail",
        shorten=("genre", "à", "sujet", "entreprise"),
        drop=("genre", "canal"),
    )
    if len(data["messages"]) < total:
        output.line(screen, f"Les {len(data['messages'])} plus récents (--limit pour plus).")


def _detail(row: dict[str, Any]) -> str | None:
    """Why it is held and until when, or what went wrong."""
    why: str | None = row["error"] or code_in_words(row["error_code"])
    if row["state"] != "held":
        return why
    why = (why or _hold(row)).rstrip(".")
    if row["hold_reason"] in RELEASABLE:
        return why
    return f"{why}, jusqu'au {output.when(row['not_before'])}"


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
    if verdict := data.get("verdict"):  # a stage of an older version has none
        output.line(screen, f"Est-il parti ? {verdict}", "cyan")
    output.facts(
        screen,
        {
            "entreprise": data["business_id"],
            "état": _state(data),
            "sujet": data["content"].get("number") or data["subject"],
            "niveau": data["step"],
            "cycle": data["cycle"],
            "canal": CHANNELS.get(data["channel"], data["channel"]),
            "à": data["recipient"],
            "contact": data.get("contact"),
            "planifié le": data["planned_at"],
            "par l'exécution": data["run_number"],
            "pas avant": data["not_before"],
            "trop tard après": data["expires_at"],
            "appel": data["submitting_at"],
            "clos": data["settled_at"],
            "fournisseur": " ".join(filter(None, (data["provider"], data["provider_id"]))),
            "Message-ID": data["message_id"],
            "erreur": data["error"] or code_in_words(data["error_code"]),
            "preuves cherchées": data.get("proofs") or None,
            "prochaine recherche": data.get("proof_at"),
            "pièces jointes": ", ".join(a["name"] for a in data["attachments"] or ()),
        },
    )
    _show_letter(screen, data)
    output.table(
        screen,
        ("le", "événement", "par", "raison"),
        [
            (
                output.when(event["at"]),
                EVENTS.get(event["event"], event["event"]),
                actor_in_words(event["actor"]),
                code_in_words(event["reason"]),
            )
            for event in data["events"]
        ],
        long="raison",
        shorten=("par",),
    )
    if data.get("replies"):
        output.line(screen, "\nEn réponse", "bold")
        output.table(
            screen,
            ("le", "de", "intention", "texte"),
            [
                (
                    reply["at"],
                    reply["contact"],
                    INTENTS.get(reply["intent"] or "", reply["intent"]),
                    reply["text"] or f"({reply['kind']})",
                )
                for reply in data["replies"]
            ],
            long="texte",
        )


def _show_letter(screen: Console, data: dict[str, Any]) -> None:
    """The text that was sent, or as it would leave, and what stands in its way."""
    preview = data.get("preview")
    if data["text"] is not None and preview is None:
        _show_text(screen, data["title"], data["text"])
    elif preview is not None and preview["text"] is not None:
        output.line(screen, "\nTel qu'il partirait maintenant", "bold")
        _show_text(screen, preview["subject"], preview["text"])
    if preview is not None and preview["reason"]:
        why = (preview["why"] or code_in_words(preview["reason"]) or "").rstrip(".")
        output.line(screen, f"\nIl ne partirait pas maintenant : {why}.", "yellow")
    output.line(screen, "\nSon histoire", "bold")


def _show_text(screen: Console, subject: str, body: str) -> None:
    if subject:  # a WhatsApp message has none
        output.line(screen, f"\nObjet : {subject}", "bold")
    output.line(screen, f"\n{body}")
