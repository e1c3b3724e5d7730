"""Arguments about whom a business writes to, for the commands on its lists."""

from __future__ import annotations

import argparse
from argparse import Namespace

from chalicelib.outbox.contact_lists import searched
from chalicelib.outbox.contacts import WORDS
from cli.arguments import french


def add_channel(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--channel",
        metavar="CANAL",
        required=required,
        type=french(WORDS),
        help="email ou whatsapp",
    )


def add_contact(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--contact",
        metavar="CONTACT",
        required=required,
        help="adresse e-mail ou numéro de téléphone",
    )


def asked(arguments: Namespace) -> dict[str, str | None]:
    """The filters of a list."""
    return searched(arguments.business, arguments.channel, arguments.contact)
