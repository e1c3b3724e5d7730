"""When a lead may be written to: the business's hours, on the lead's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.errors import BadRequest
from chalicelib.outbox.numbers import read
from chalicelib.outbox.windows import Window, zone

_PARIS = ZoneInfo("Europe/Paris")


def zone_of(own: str | None, number: str | None, business: str | None) -> ZoneInfo:
    """The lead's zone: its own, else that of its number (E.164) where the number tells, else the
    business's. A name that is no zone is passed over; Paris when nothing is left."""
    for name in (own, _of_number(number), business):
        found = zone(name) if name else None
        if found is not None:
            return found
    return _PARIS


def _of_number(number: str | None) -> str | None:
    """Of a number of France, overseas departments included, in E.164."""
    if not number:
        return None
    try:
        return read(number).zone
    except BadRequest:
        return None


def window_of(settings: Mapping[Any, Any]) -> Window | None:
    """The window of a row of `lead_settings` (`window_start`, `window_end` as text,
    `business_days_only`) and its business (`subdivision`); None when it never opens."""
    try:
        opens = time.fromisoformat(settings["window_start"] or "")
        # PostgreSQL's own end of the day, 24:00, is no time of day in Python.
        end: str = settings["window_end"] or ""
        closes = time.max if end.startswith("24:00") else time.fromisoformat(end)
    except ValueError:
        return None
    if closes <= opens:
        return None
    return Window(opens, closes, bool(settings["business_days_only"]), settings["subdivision"])
