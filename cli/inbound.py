"""`inbound`: what people wrote to the businesses, and what became of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.outbox.reading import CHANNELS
from cli import output
from cli.arguments import add_business, add_since, command, positive
from cli.message_words import INTENTS, OUTCOMES
from cli.source import opened


def register(subparsers: Any) -> None:
    parser = command(
        subparsers, "inbound", "les messages reçus, le plus récent d'abord", _run, remote=True
    )
    add_business(parser)
    add_since(parser)
    parser.add_argument("--limit", metavar="N", type=positive, default=50, help="50 par défaut")


def _run(arguments: Namespace) -> int:
    where = {"business_id": arguments.business, "since": arguments.since}
    with opened(arguments) as source:
        found = source.inbound(where, arguments.limit)
    output.answer(arguments, found, _show)
    return 0


def _show(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    if not data:
        output.line(screen, "Aucun message reçu.")
    output.table(
        screen,
        ("n°", "reçu le", "entreprise", "canal", "de", "en réponse au", "suites", "texte"),
        [
            (
                row["id"],
                row["at"],
                row["business_id"] or "(inconnue)",
                CHANNELS.get(row["channel"], row["channel"]),
                row["contact"],
                row["in_reply_to"],
                _became(row),
                _text(row),
            )
            for row in data
        ],
        long="texte",
        shorten=("suites", "entreprise", "de"),
    )


def _became(row: Mapping[str, Any]) -> str:
    """What was understood, and what each domain made of it; who had no use for it is left out."""
    told = [INTENTS.get(row["intent"], row["intent"])] if row["intent"] else []
    for offer in row["offers"]:
        if offer["outcome"] != "not_ours":
            told.append(f"{offer['domain']} : {OUTCOMES[offer['outcome']]}")
    return ", ".join(told)


def _text(row: Mapping[str, Any]) -> str:
    media = output.plural(row["media_count"], "fichier", "fichiers") if row["media_count"] else ""
    text: str = row["text"] or f"({row['kind']})"
    return f"{text} [{media}]" if media else text
