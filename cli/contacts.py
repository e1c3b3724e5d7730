"""Arguments about whom a business writes to, for the commands on its lists."""

from __future__ import annotations

import argparse
from argparse import Namespace

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox.contacts import CHANNELS, WORDS, normalised
from chalicelib.outbox.suppressions import EVERYBODY
from cli.arguments import french

_BUSINESS = text("SELECT 1 FROM ponctuel.businesses WHERE id = :id")


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
    """The filters of a list. Without a channel the contact says which one it can be; one that is
    neither an address nor a number is looked for as it is (Meta's id of a user)."""
    contact, channel = arguments.contact, arguments.channel
    if contact is not None:
        for candidate in CHANNELS if channel is None else (channel,):
            try:
                contact = normalised(candidate, arguments.contact)
            except BadRequest:
                continue
            break
    return {"business_id": arguments.business, "channel": channel, "contact": contact}


def require_business(connection: Connection, business_id: str, *, everybody: bool = False) -> None:
    """Raises `NotFound`; `*`, for every business, passes where `everybody`."""
    if everybody and business_id == EVERYBODY:
        return
    if connection.execute(_BUSINESS, {"id": business_id}).first() is None:
        raise NotFound(f"L'entreprise « {business_id} » n'existe pas.")
