"""Telephone numbers as the domains ask about them: read, placed, and made into a wa.me link."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.outbox.whatsapp_letter import ZONES
from chalicelib.providers.phones import Line, normalised
from chalicelib.providers.whatsapp.links import click_to_chat

__all__ = ["Number", "click_to_chat", "read"]


@dataclass(frozen=True)
class Number:
    """`number` in E.164; `line`: `mobile`, `landline`, or `either` where the plan does not tell;
    `zone` (IANA) of a number of France, overseas departments included, else None."""

    number: str = field(repr=False)
    line: Line
    zone: str | None


def read(written: str | None) -> Number:
    """The number that somebody typed. Raises `BadRequest` with the codes of
    `providers.phones.normalised` (`phone_missing`, `phone_invalid`…)."""
    phone = normalised(written)
    return Number(phone.number, phone.line, ZONES.get(phone.region))
