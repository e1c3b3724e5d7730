"""When a task is due, when an appointment starts and ends: days and hours of one cell or of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from cli.imports.agenda_draft import Draft
from cli.imports.durations import parse_minutes
from cli.imports.folding import fold
from cli.imports.moments import Clock, instant, is_clock, parse_clock, parse_day_and_clock
from cli.imports.subject import Subject

MIDNIGHT = Clock(time())
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one line go into its `draft`. `filled`: field → its cell, where it is not blank.
    `zone`: on whose clock hours are. `month_first_seen`: the file holds a date that only reads
    month first."""

    subject: Subject
    filled: Mapping[str, str]
    zone: ZoneInfo
    draft: Draft
    month_first_seen: bool

    def due(self) -> None:
        """Of a task. What has only days writes them with a midnight."""
        draft = self.draft
        read = self._day_and_clock("due", "due_time")
        if read is None:
            if "due_time" in self.filled and "due" not in self.filled:
                draft.remarks.append(
                    f"{self.subject.labels['due_time']} : sans échéance, elle n'est pas reprise"
                )
            return
        draft.day, clock = read
        if clock and clock != MIDNIGHT:
            draft.moment = self._instant("due", draft.day, clock)
            if draft.moment:
                draft.day = draft.moment.astimezone(self.zone).date()
                draft.values["due_at"] = draft.moment.isoformat()
        draft.values["due_on"] = draft.day.isoformat()

    def span(self) -> None:
        """Of an appointment."""
        draft, labels = self.draft, self.subject.labels
        if self.subject.words["all_day"].get(fold(self.filled.get("all_day", ""))) == "true":
            draft.reasons.append(
                f"{labels['all_day']} : sans heure de début, aucun rappel n'aurait de moment où "
                "partir"
            )
            return
        read = self._start()
        if read is None:
            return
        day, clock = read
        if clock is None:
            draft.reasons.append(
                f"{labels['starts']} : il manque l'heure (attendu : jj/mm/aaaa hh:mm)"
            )
            return
        starts = self._instant("starts", day, clock)
        if starts is None:
            return
        draft.day, draft.moment = starts.astimezone(self.zone).date(), starts
        draft.values["starts_at"] = starts.isoformat()
        ends = self._end(draft.day)
        minutes = self._attempt("duration", parse_minutes)
        if ends is None and minutes is not None:
            ends = starts + timedelta(minutes=minutes)
        if ends and ends < starts:
            draft.reasons.append(f"{labels['ends']} : elle précède le début")
        elif ends:
            draft.values["ends_at"] = ends.isoformat()

    def _start(self) -> tuple[date, Clock | None] | None:
        """Day and hour of the start. "Date", "Début", "Fin" are often a day and two hours."""
        if "day" in self.filled and is_clock(self.filled.get("starts", "")):
            filled = {**self.filled, "start_time": self.filled["starts"]}
            return replace(self, filled=filled)._day_and_clock("day", "start_time")
        return self._day_and_clock("starts" if "starts" in self.filled else "day", "start_time")

    def _end(self, day: date) -> datetime | None:
        """An hour alone is of the same `day`."""
        label = self.subject.labels["ends"]
        if is_clock(words := self.filled.get("ends", self.filled.get("end_time", ""))):
            return self.draft.attempt(label, lambda: instant(day, parse_clock(words), self.zone))
        read = self._day_and_clock("ends", "end_time")
        if read is None:
            return None
        last, clock = read
        if clock is None:
            self.draft.remarks.append(f"{label} : sans heure, elle n'est pas reprise")
            return None
        return self._instant("ends", last, clock)

    def _day_and_clock(self, name: str, time_name: str) -> tuple[date, Clock | None] | None:
        """Of one cell, or of two. An hour beside that is another than the one in the first cell
        is refused, unless that is a midnight."""
        read = self._attempt(
            name, lambda cell: parse_day_and_clock(cell, month_first_seen=self.month_first_seen)
        )
        beside = self._attempt(time_name, parse_clock)
        if read is None:
            return None
        day, clock = read
        if beside and clock not in (None, MIDNIGHT, beside):
            self.draft.reasons.append(
                f"{self.subject.labels[time_name]} : la date en dit une autre"
            )
        return day, beside or clock

    def _instant(self, name: str, day: date, clock: Clock) -> datetime | None:
        return self.draft.attempt(self.subject.labels[name], lambda: instant(day, clock, self.zone))

    def _attempt(self, name: str, read: Callable[[str], _T]) -> _T | None:
        if name not in self.filled:
            return None
        return self.draft.attempt(self.subject.labels[name], lambda: read(self.filled[name]))
