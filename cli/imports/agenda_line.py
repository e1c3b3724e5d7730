"""One line about a task or an appointment → what it states, or every reason why it cannot be taken.

Hours are on the clock of the line's zone; else of the user it names, to whom they are shown again;
else of the business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from chalicelib.outbox import windows
from cli.imports.agenda_columns import TASKS
from cli.imports.agenda_index import Entry
from cli.imports.dates import DateError
from cli.imports.durations import DurationError, parse_minutes, parse_offsets
from cli.imports.folding import fold, shown
from cli.imports.identifiers import identifier
from cli.imports.invoice_line import BLANK
from cli.imports.known import Known, UnknownPersonError
from cli.imports.moments import Clock, instant, is_clock, parse_clock, parse_day_and_clock
from cli.imports.subject import Subject, words

MIDNIGHT = Clock(time())
# Fields that hold a day.
DAYS = ("due", "date", "starts", "day", "ends")
_T = TypeVar("_T")
_DONE = words(true="oui|vrai|yes|true|x|1|fait|faite|terminee|termine|done|completed",
              false="non|faux|no|false|0")  # fmt: skip
# "Zoé (4711)", as Todoist writes its users.
_NUMBERED = re.compile(r" \([0-9]+\)$")


@dataclass(frozen=True)
class People:
    """Whom lines may name: users with their zones, customers; `owner`: the id of whose everything
    is, "" where the file says it."""

    users: Known
    zones: Mapping[str, ZoneInfo]
    zone: ZoneInfo
    customers: Known
    owner: str = ""


@dataclass(slots=True)
class Draft:
    """What a line states: column → text, a missing one says nothing. `code`: as the id it makes,
    "" without. `when` is part of what it is known by."""

    code: str = ""
    values: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    day: date | None = None
    moment: datetime | None = None

    def entry(self) -> Entry:
        return Entry(
            self.values.get("title", ""),
            self.values.get("user_id", ""),
            self.day,
            self.moment,
            self.values.get("status") in ("done", "cancelled"),
        )

    def attempt(self, label: str, read: Callable[[], _T]) -> _T | None:
        """What is read, or None and one more reason."""
        try:
            return read()
        except (DateError, DurationError, UnknownPersonError) as error:
            self.reasons.append(f"{label} : {error}")
            return None


@dataclass(frozen=True)
class Reader:
    """Reads the lines of one file. `holder`: the user of what has that id, "" for none.
    `month_first_seen`: the file holds a date that only reads month first."""

    subject: Subject
    people: People
    holder: Callable[[str], str]
    month_first_seen: bool

    def read(self, cells: Mapping[str, str]) -> Draft:
        """`cells`: field → its cleaned cell, for the fields that the file has."""
        draft = Draft()
        filled: dict[str, str] = {}
        for name in ("title", "starts"):
            instead = self.subject.columns.instead.get(name, name)
            if name in self.subject.columns.required and all(
                cells.get(each, "") in BLANK for each in (name, instead)
            ):
                draft.reasons.append(f"{self.subject.labels[name]} : la case est vide")
        for name, cell in cells.items():
            if cell in BLANK:
                continue
            if fault := self.subject.fault(name, cell):
                draft.reasons.append(fault)
            else:
                filled[name] = cell
        # Todoist has its due date there, beside a deadline; elsewhere it may be that of the entry.
        if "date" in filled and "due" not in filled and ("due" not in cells or "type" in cells):
            filled["due"] = filled["date"]
        draft.code = identifier(filled["code"]) if "code" in filled else ""
        for name in {"title", "location"} & filled.keys():
            draft.values[name] = filled[name]
        for name in {"status", "critical"} & filled.keys():
            draft.values[name] = self.subject.words[name][fold(filled[name])]
        self._user(filled, draft)
        self._customer(filled, draft)
        zone = self._zone(filled, draft)
        if self.subject is TASKS:
            self._done(filled, draft)
            self._due(filled, zone, draft)
        else:
            self._span(filled, zone, draft)
            if offsets := self._attempt(draft, filled, "offsets", parse_offsets):
                draft.values["offsets"] = offsets
        return draft

    def _attempt(
        self, draft: Draft, filled: Mapping[str, str], name: str, read: Callable[[str], _T]
    ) -> _T | None:
        if name not in filled:
            return None
        return draft.attempt(self.subject.labels[name], lambda: read(filled[name]))

    def _user(self, filled: Mapping[str, str], draft: Draft) -> None:
        if self.people.owner:
            draft.values["user_id"] = self.people.owner
        elif "user_id" in filled:
            words = _NUMBERED.sub("", filled["user_id"])
            found = draft.attempt(
                self.subject.labels["user_id"], lambda: self.people.users.user(words)
            )
            if found:
                draft.values["user_id"] = found

    def _customer(self, filled: Mapping[str, str], draft: Draft) -> None:
        """A customer who is not known is no reason to forget what there is to do."""
        if not (words := filled.get("customer_id")):
            return
        customers = self.people.customers
        try:
            found = identifier(words) if identifier(words) in customers.by_id else None
            found = found or customers.find({"name": words})
        except UnknownPersonError as error:
            draft.remarks.append(f"importée sans son client : {error}")
        else:
            if found:
                draft.values["customer_id"] = found
            else:
                draft.remarks.append(f"importée sans son client : « {shown(words)} » est inconnu")

    def _zone(self, filled: Mapping[str, str], draft: Draft) -> ZoneInfo:
        if name := filled.get("zone"):
            if zone := windows.zone(name):
                return zone
            draft.reasons.append(
                f"{self.subject.labels['zone']} : « {shown(name)} » n'est pas un fuseau "
                "(Europe/Paris…)"
            )
        user = draft.values.get("user_id") or self.holder(draft.code)
        return self.people.zones.get(user, self.people.zone)

    def _done(self, filled: Mapping[str, str], draft: Draft) -> None:
        """A yes, or the day on which it was done, wins over an open status."""
        if not (cell := filled.get("done")):
            return
        done = _DONE.get(fold(cell))
        if done is None:
            read = draft.attempt(
                self.subject.labels["done"],
                lambda: parse_day_and_clock(cell, month_first_seen=self.month_first_seen),
            )
            done = "true" if read else "false"
        if done == "true" and draft.values.get("status") != "cancelled":
            draft.values["status"] = "done"
        elif "status" not in draft.values:
            draft.values["status"] = "open"

    def _due(self, filled: Mapping[str, str], zone: ZoneInfo, draft: Draft) -> None:
        read = self._day_and_clock(filled, "due", "due_time", draft)
        if read is None:
            if "due_time" in filled and "due" not in filled:
                draft.remarks.append(
                    f"{self.subject.labels['due_time']} : sans échéance, elle n'est pas reprise"
                )
            return
        draft.day, clock = read
        # What has only days writes them with a midnight.
        if clock and clock != MIDNIGHT:
            day = draft.day
            draft.moment = draft.attempt(
                self.subject.labels["due"], lambda: instant(day, clock, zone)
            )
            if draft.moment:
                draft.day = draft.moment.astimezone(zone).date()
                draft.values["due_at"] = draft.moment.isoformat()
        draft.values["due_on"] = draft.day.isoformat()

    def _span(self, filled: Mapping[str, str], zone: ZoneInfo, draft: Draft) -> None:
        label = self.subject.labels["starts"]
        if self.subject.words["all_day"].get(fold(filled.get("all_day", ""))) == "true":
            draft.reasons.append(
                f"{self.subject.labels['all_day']} : sans heure de début, aucun rappel n'aurait "
                "de moment où partir"
            )
            return
        read = self._start(filled, draft)
        if read is None:
            return
        day, clock = read
        if clock is None:
            draft.reasons.append(f"{label} : il manque l'heure (attendu : jj/mm/aaaa hh:mm)")
            return
        starts = draft.attempt(label, lambda: instant(day, clock, zone))
        if starts is None:
            return
        draft.day, draft.moment = starts.astimezone(zone).date(), starts
        draft.values["starts_at"] = starts.isoformat()
        ends = self._end(filled, draft.day, zone, draft)
        minutes = self._attempt(draft, filled, "duration", parse_minutes)
        if ends is None and minutes is not None:
            ends = starts + timedelta(minutes=minutes)
        if ends and ends < starts:
            draft.reasons.append(f"{self.subject.labels['ends']} : elle précède le début")
        elif ends:
            draft.values["ends_at"] = ends.isoformat()

    def _start(self, filled: Mapping[str, str], draft: Draft) -> tuple[date, Clock | None] | None:
        """Day and hour of the start. "Date", "Début", "Fin" are often a day and two hours."""
        if "day" in filled and is_clock(filled.get("starts", "")):
            filled = {**filled, "start_time": filled["starts"]}
            return self._day_and_clock(filled, "day", "start_time", draft)
        name = "starts" if "starts" in filled else "day"
        if name not in filled:
            return None
        return self._day_and_clock(filled, name, "start_time", draft)

    def _end(
        self, filled: Mapping[str, str], day: date, zone: ZoneInfo, draft: Draft
    ) -> datetime | None:
        label = self.subject.labels["ends"]
        if is_clock(words := filled.get("ends", filled.get("end_time", ""))):
            return draft.attempt(label, lambda: instant(day, parse_clock(words), zone))
        read = self._day_and_clock(filled, "ends", "end_time", draft)
        if read is None:
            return None
        last, clock = read
        if clock is None:
            draft.remarks.append(f"{label} : sans heure, elle n'est pas reprise")
            return None
        return draft.attempt(label, lambda: instant(last, clock, zone))

    def _day_and_clock(
        self, filled: Mapping[str, str], name: str, time_name: str, draft: Draft
    ) -> tuple[date, Clock | None] | None:
        """Of one cell, or of two. An hour beside that is another than the one in the first cell
        is refused, unless that is a midnight."""
        read = self._attempt(
            draft,
            filled,
            name,
            lambda cell: parse_day_and_clock(cell, month_first_seen=self.month_first_seen),
        )
        beside = self._attempt(draft, filled, time_name, parse_clock)
        if read is None:
            return None
        day, clock = read
        if beside and clock not in (None, MIDNIGHT, beside):
            draft.reasons.append(f"{self.subject.labels[time_name]} : la date en dit une autre")
        return day, beside or clock
