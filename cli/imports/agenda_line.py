"""One line about a task or an appointment → what it states, or every reason why it cannot be taken.

Hours are on the clock of the line's zone; else of the user it names, to whom they are shown again;
else of the business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chalicelib.outbox import windows
from cli.imports.agenda_columns import TASKS
from cli.imports.agenda_draft import Draft, People
from cli.imports.agenda_index import Entry
from cli.imports.agenda_times import Times
from cli.imports.durations import parse_offsets
from cli.imports.folding import fold, shown
from cli.imports.identifiers import identifier
from cli.imports.invoice_line import BLANK
from cli.imports.known import UnknownPersonError
from cli.imports.moments import parse_day_and_clock
from cli.imports.subject import Subject, words

# Fields that hold a day.
DAYS = ("due", "date", "starts", "day", "ends")
_DONE = words(true="oui|vrai|yes|true|x|1|fait|faite|terminee|termine|done|completed",
              false="non|faux|no|false|0")  # fmt: skip
# "Zoé (4711)", as Todoist writes its users.
_NUMBERED = re.compile(r" \([0-9]+\)$")


@dataclass(frozen=True)
class Reader:
    """Reads the lines of one file. `stored`: id → entry. `month_first_seen`: the file holds a date
    that only reads month first."""

    subject: Subject
    people: People
    stored: Mapping[str, Entry]
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
        if code := filled.get("code"):
            # The application's own ids may be none that an import would make.
            draft.code = code if code in self.stored else identifier(code)
        for name in {"title", "location"} & filled.keys():
            draft.values[name] = filled[name]
        for name in {"status", "critical"} & filled.keys():
            draft.values[name] = self.subject.words[name][fold(filled[name])]
        self._user(filled, draft)
        self._customer(filled, draft)
        zone = self._zone(filled, draft)
        times = Times(self.subject, filled, zone, draft, self.month_first_seen)
        if self.subject is TASKS:
            self._done(filled, draft)
            times.due()
        else:
            times.span()
        if offsets := filled.get("offsets"):
            read = draft.attempt(self.subject.labels["offsets"], lambda: parse_offsets(offsets))
            if read:
                draft.values["offsets"] = read
        return draft

    def entry(self, draft: Draft) -> Entry:
        """What a line that was read says that it is about."""
        values = draft.values
        return self.people.entry(
            values.get("title", ""),
            values.get("user_id", ""),
            draft.moment,
            draft.day,
            values.get("status", ""),
        )

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
        user = draft.values.get("user_id", "")
        if not user and draft.code in self.stored:
            user = self.stored[draft.code].user
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
