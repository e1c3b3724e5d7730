"""What a line about a task or an appointment states, and whom lines may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TypeVar
from zoneinfo import ZoneInfo

from cli.imports.agenda_index import Entry
from cli.imports.dates import DateError
from cli.imports.durations import DurationError
from cli.imports.known import Known, UnknownPersonError

_T = TypeVar("_T")


@dataclass(frozen=True)
class People:
    """Whom lines may name: users with their zones, customers; `owner`: the id of whose everything
    is, "" where the file says it. `zone`: the business's."""

    users: Known
    zones: Mapping[str, ZoneInfo]
    zone: ZoneInfo
    customers: Known
    owner: str = ""

    def entry(
        self, title: str, user: str, moment: datetime | None, day: date | None, status: str
    ) -> Entry:
        """`user`: "" for nobody; `moment`: aware; `day`: where there is no moment."""
        days = tuple(sorted({moment.astimezone(zone).date() for zone in self._clocks}
                            if moment else {day} if day else ()))  # fmt: skip
        return Entry(title, user, moment, days, status in ("done", "cancelled"))

    @cached_property
    def _clocks(self) -> set[ZoneInfo]:
        return {self.zone, *self.zones.values()}


@dataclass(slots=True)
class Draft:
    """What a line states: column → text, a missing one says nothing. `code`: as the id it makes,
    "" without. `moment`, else `day`, is part of what it is known by."""

    code: str = ""
    values: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    day: date | None = None
    moment: datetime | None = None

    def attempt(self, label: str, read: Callable[[], _T]) -> _T | None:
        """What is read, or None and one more reason."""
        try:
            return read()
        except (DateError, DurationError, UnknownPersonError) as error:
            self.reasons.append(f"{label} : {error}")
            return None
