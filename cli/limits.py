"""`limits`: what a business may send, where it is not as usual."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.errors import BadRequest
from chalicelib.outbox.allowance import PERSON_PER_DAY, PERSON_PER_WEEK
from chalicelib.outbox.reading import CHANNELS
from chalicelib.outbox.sending_limits import MOST, NAMES
from cli import output
from cli.arguments import add_business, add_channel, command, group
from cli.source import opened

_MEANING = {
    "per_day": "messages par 24 heures, à tous",
    "person_per_day": "messages par 24 heures à une même personne",
    "person_per_week": "messages en 7 jours à une même personne",
}
USUAL = "usuelle"
# What a limit is where the business has none of its own.
_USUALLY = {
    "per_day": "quota du compte",
    "person_per_day": f"{PERSON_PER_DAY} ({USUAL})",
    "person_per_week": f"{PERSON_PER_WEEK} ({USUAL})",
}


def register(subparsers: Any) -> None:
    actions = group(subparsers, "limits", "ce qu'une entreprise peut envoyer")
    parser = command(actions, "list", "les entreprises qui ont leurs limites", _list, remote=True)
    add_business(parser)
    parser = command(
        actions,
        "set",
        "change les limites données ; les autres restent",
        _set,
        remote=True,
    )
    add_business(parser, required=True)
    add_channel(parser, required=True)
    for name in NAMES:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="N",
            dest=name,
            type=limit,
            default=argparse.SUPPRESS,
            help=f"{_MEANING[name]} ; « {USUAL} » : comme partout",
        )


def limit(text: str) -> int | None:
    """A whole number from 0; None for the usual one."""
    if text.casefold() == USUAL:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > MOST:
        raise argparse.ArgumentTypeError(f"« {text} » : attendu un nombre, ou « {USUAL} »")
    return int(text)


def _list(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.limits(arguments.business)
    output.answer(arguments, found, _show)
    return 0


def _set(arguments: Namespace) -> int:
    changed = {name: getattr(arguments, name) for name in NAMES if hasattr(arguments, name)}
    if not changed:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in NAMES)
        raise BadRequest(f"Donnez au moins une limite : {options}.")
    with opened(arguments) as source:
        found = source.set_limits(arguments.business, arguments.channel, changed)
    output.answer(arguments, found, _show)
    return 0


def _show(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    if not data:
        output.line(screen, "Toutes les entreprises ont les limites usuelles.")
    output.table(
        screen,
        (
            "entreprise",
            "canal",
            "par jour",
            "par personne et jour",
            "par personne et semaine",
            "depuis",
            "par",
        ),
        [
            (
                row["business_id"],
                CHANNELS[row["channel"]],
                *(_USUALLY[name] if row[name] is None else row[name] for name in NAMES),
                row["set_at"],
                row["set_by"],
            )
            for row in data
        ],
        shorten=("entreprise", "par"),
    )
