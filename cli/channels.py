"""`channels`: whether each channel works, how fast and how much it may send."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.outbox.reading import CHANNELS
from cli import output
from cli.arguments import command
from cli.source import opened


def register(subparsers: Any) -> None:
    command(subparsers, "channels", "les canaux : marche, débit, quota", _run, remote=True)


def _run(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.channels()
    output.answer(arguments, found, _show)
    return 0


def _show(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    output.table(
        screen,
        ("canal", "entreprise", "marche", "débit", "jetons", "envoyés en 24 h", "quota", "reste"),
        [
            (
                CHANNELS.get(row["channel"], row["channel"]),
                row["business_id"] or "(toutes)",
                _working(row),
                _rate(row),
                _tokens(row),
                row["used"],
                "sans limite" if row["quota"] is None else row["quota"],
                None if row["quota"] is None else max(0, row["quota"] - row["used"]),
            )
            for row in data
        ],
        long="marche",
        shorten=("entreprise",),
        drop=("jetons", "débit"),
    )


def _working(row: Mapping[str, Any]) -> str:
    failures = output.plural(row["failures"], "échec", "échecs")
    if row["circuit"] == "open":
        return f"coupé jusqu'au {output.when(row['retry_at'])} après {failures} de suite"
    if row["circuit"] == "half_open":
        return f"à l'essai d'un message, après {failures} de suite"
    return f"en marche ({failures} de suite)" if row["failures"] else "en marche"


def _rate(row: Mapping[str, Any]) -> str:
    if row["business_id"]:
        return ""
    return "sans limite" if row["rate"] is None else f"{row['rate']}/s"


def _tokens(row: Mapping[str, Any]) -> str:
    if row["tokens"] is None:
        return ""
    return f"{row['tokens']:g} à {output.when(row['tokens_at'])[-5:]}".replace(".", ",")
