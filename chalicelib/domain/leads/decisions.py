"""Which of the leads that are due get a follow-up now. Pure: one engine for both modes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.domain.leads.hours import window_of, zone_of
from chalicelib.errors import BadRequest
from chalicelib.outbox.numbers import read
from chalicelib.outbox.windows import next_allowed

Row = Mapping[Any, Any]
Key = tuple[str, str]  # business, lead


@dataclass(frozen=True)
class Reached:
    """A due lead with its contact: a number in E.164, or Meta's id of a user."""

    row: Row = field(repr=False)
    contact: str = field(repr=False)
    zone: ZoneInfo

    @property
    def key(self) -> Key:
        return self.row["business_id"], self.row["id"]


@dataclass(frozen=True)
class Known:
    """What is known of a contact: somebody there wants or can have no message, has agreed to
    marketing, is already followed up as another lead."""

    suppressed: bool = False
    consented: bool = False
    taken: bool = False


@dataclass(frozen=True)
class Followup:
    """One to be made, from `opens_at` (aware UTC) on."""

    lead: Reached
    opens_at: datetime


@dataclass(frozen=True)
class Decided:
    """`left_out`: the others, each with the code why not (`reasons`)."""

    followups: Sequence[Followup]
    left_out: Sequence[tuple[Row, str]]


def reach(rows: Sequence[Row]) -> tuple[list[Reached], list[tuple[Row, str]]]:
    """The leads that have a contact, and those whose number is unusable (`phone_…`). A landline
    is: hardly any is on WhatsApp, and nobody is to dial through them."""
    reached, unusable = [], []
    for row in rows:
        contact, code = _contact(row)
        if code is not None:
            unusable.append((row, code))
        else:
            zone = zone_of(row["zone"], contact, row["business_zone"])
            reached.append(Reached(row, contact, zone))
    return reached, unusable


def decide(leads: Sequence[Reached], known: Mapping[Key, Known], now: datetime) -> Decided:
    """In the order given, the oldest promise first: whoever may be written to, once per number,
    until the day of the business is full. `now` is aware."""
    made: list[Followup] = []
    left_out: list[tuple[Row, str]] = []
    used: Counter[str] = Counter()
    numbers: set[Key] = set()
    for lead in leads:
        row, business = lead.row, lead.row["business_id"]
        code = _obstacle(lead, known.get(lead.key, Known()), (business, lead.contact) in numbers)
        if code is None and row["used"] + used[business] >= row["daily_cap"]:
            code = "capped"
        opens_at = None
        if code is None:
            window = window_of(row)
            opens_at = next_allowed(now, lead.zone, window) if window else None
            code = "bad_window" if opens_at is None else None
        if code is not None or opens_at is None:
            left_out.append((row, code or "bad_window"))
            continue
        used[business] += 1
        numbers.add((business, lead.contact))
        made.append(Followup(lead, opens_at))
    return Decided(_alternating(made), left_out)


def expiry(row: Row, opens_at: datetime) -> datetime:
    """When a proposal is given up: the settings' hours, an hour at least and a year at most, from
    the moment at which the lead may be written to."""
    hours = min(max(int(row["expire_hours"] or 0), 1), 8760)
    return opens_at + timedelta(hours=hours)


def _obstacle(lead: Reached, known: Known, same_number: bool) -> str | None:
    if known.suppressed:
        return "suppressed"
    if known.taken or same_number:
        return "same_number"
    if lead.row["mode"] == "api":
        return None if known.consented else "no_consent"
    return None if lead.row["has_reader"] else "no_closer"


def _contact(row: Row) -> tuple[str, str | None]:
    user_id = (row["whatsapp_user_id"] or "").strip() if row["mode"] == "api" else ""
    try:
        phone = read(row["phone"])
    except BadRequest as error:
        return (user_id, None) if user_id else ("", error.code)
    if phone.line == "landline":
        return (user_id, None) if user_id else ("", "phone_landline")
    return phone.number, None


def _alternating(made: Sequence[Followup]) -> list[Followup]:
    """The first of every business, then the second of every one…"""
    nth: Counter[str] = Counter()
    turns = []
    for place, followup in enumerate(made):
        business = followup.lead.key[0]
        turns.append((nth[business], place, followup))
        nth[business] += 1
    return [followup for _, _, followup in sorted(turns, key=lambda turn: turn[:2])]
