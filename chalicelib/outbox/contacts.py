"""Where a person is written to, in the one form that the lists and the ledger compare."""

from __future__ import annotations

from typing import Literal, get_args

from chalicelib.errors import BadRequest
from chalicelib.providers.mail.addresses import canonical_address, parse_addresses

Channel = Literal["email", "whatsapp"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)


# What an operator reads and may type.
WORDS: dict[str, str] = {"email": "e-mail", "whatsapp": "WhatsApp"}


def normalised(channel: Channel, written: str) -> str:
    """An e-mail address in lower case, its domain in ASCII; a telephone number in E.164. Raises
    `BadRequest`, without quoting what was written."""
    if channel == "whatsapp":
        from chalicelib.providers import phones  # the plan of every country: not for a cold start

        return phones.normalised(written).number
    address = canonical_address(written.strip().removeprefix("mailto:"))
    if address is None:
        raise BadRequest("Cette adresse e-mail n'est pas valable.", code="address")
    return address.lower()


def addresses(written: str | None) -> list[str]:
    """The e-mail addresses of a text such as `a@x.fr; Jean <b@y.fr>`, as `normalised` writes them;
    five at most. Never raises."""
    return [address.lower() for address in parse_addresses(written)]
