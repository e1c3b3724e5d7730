"""Tasks or appointments, found by what a line says of them: title, user and time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

from cli.imports.folding import fold

_Place = tuple[str, str, object]
_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Entry:
    """`user`: an id, "" for nobody. `moment`: aware, None for what has no hour. `days`: what it is
    on, one day, or for a moment every day that the clocks of the business show then; none where it
    has no date. `settled`: done or cancelled. `key`: the title as it is compared."""

    title: str
    user: str = ""
    moment: datetime | None = None
    days: tuple[date, ...] = ()
    settled: bool = False
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", fold(self.title) or self.title.casefold())

    @property
    def when(self) -> datetime | date | None:
        return self.moment or (self.days[0] if self.days else None)

    @property
    def identity(self) -> tuple[str, str, datetime | date | None]:
        """Title, user and time, to be compared."""
        return self.key, self.user, self.when

    @property
    def text(self) -> str:
        """Title, user and time, in one form whatever the zone."""
        when = self.moment.astimezone(UTC) if self.moment else self.when
        return "|".join((self.key, self.user, when.isoformat() if when else ""))

    def merged(self, line: Entry) -> Entry:
        """What it becomes by a line: what that does not say is kept."""
        dated = line if line.days else self
        return Entry(line.title, line.user or self.user, dated.moment, dated.days, line.settled)

    def places(self) -> list[_Place]:
        """Where it is found."""
        on = "of" if self.moment else "on"
        places: list[tuple[str, object]] = [("any", None), *((on, day) for day in self.days)]
        if self.moment:
            places.append(("at", self.moment))
        if not self.days:
            places.append(("undated", None))
        return [(self.key, how, value) for how, value in places]

    def sought(self) -> list[_Place]:
        """Where all are whose title is the same and whose time does not contradict it, each in one
        place only."""
        places: list[tuple[str, object]] = [("any", None)]
        if self.days:
            places = [("undated", None), *(("on", day) for day in self.days)]
            places += [("at", self.moment)] if self.moment else [("of", day) for day in self.days]
        return [(self.key, how, value) for how, value in places]


class Index(Generic[_K]):
    """Entries, each with its id or the number of its line."""

    def __init__(self, entries: Iterable[tuple[_K, Entry]]) -> None:
        self._entries: dict[_K, Entry] = {}
        self._same: dict[object, list[_K]] = defaultdict(list)
        self._places: dict[_Place, list[_K]] = defaultdict(list)
        for id, entry in entries:
            self._entries[id] = entry
            self._same[entry.identity].append(id)
            for place in entry.places():
                self._places[place].append(id)

    def __contains__(self, id: _K) -> bool:
        return id in self._entries

    def __getitem__(self, id: _K) -> Entry:
        return self._entries[id]

    def same(self, entry: Entry) -> list[_K]:
        """Those of its title, user and time."""
        return self._same.get(entry.identity, [])

    def fitting(self, entry: Entry) -> Iterator[_K]:
        """Those of its title whose user and time do not contradict it, `same` among them. Having
        none contradicts nothing, and a day does not contradict an hour of it."""
        for place in entry.sought():
            for id in self._places.get(place, ()):
                user = self._entries[id].user
                if not user or not entry.user or user == entry.user:
                    yield id

    def of_title(self, entry: Entry) -> list[_K]:
        return self._places.get((entry.key, "any", None), [])
