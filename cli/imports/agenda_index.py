"""The tasks or appointments of a business, found again by what a line says of them.

Without a code one is known by title, user and time: whatever has another time is another, because
taking it for one that was moved could take away somebody's reminder. A line that says less (no
hour, no day, no user) is the only one that fits and that no other line is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from cli.imports.folding import fold, shown

_Key = tuple[str, str, object]


class AmbiguousEntryError(ValueError):
    """Several fit. Its text is French."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`user`: an id, "" for nobody. `moment`: aware, with its `day`; of a task it may be missing.
    `settled`: done or cancelled. `key`: the title as it is compared."""

    title: str
    user: str = ""
    day: date | None = None
    moment: datetime | None = None
    settled: bool = False
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", fold(self.title) or self.title.casefold())

    @property
    def text(self) -> str:
        """Title, user and time, in one form whatever the zone."""
        when = self.moment or self.day
        return "|".join((self.key, self.user, when.isoformat() if when else ""))

    def places(self) -> list[_Key]:
        """Where it is found."""
        places: list[tuple[str, object]] = [("any", None)]
        if self.day:
            exact = ("at", self.moment) if self.moment else ("untimed", self.day)
            places = [exact, ("day", self.day), *places]
        else:
            places = [("undated", None), *places]
        return [(self.key, how, when) for how, when in places]

    def sought(self) -> list[_Key]:
        """Where what it describes may be, the most exact first."""
        places: list[tuple[str, object]] = [("undated", None)]
        if self.moment:
            places = [("at", self.moment), ("untimed", self.day), *places]
        elif self.day:
            places = [("untimed", self.day), ("day", self.day), *places]
        else:
            places.append(("any", None))
        return [(self.key, how, when) for how, when in places]


class Index:
    """Entries by id, and by all that may name them."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        # A dict as an ordered set.
        self._places: dict[_Key, dict[str, None]] = defaultdict(dict)

    def __contains__(self, id: str) -> bool:
        return id in self._entries

    def user_of(self, id: str) -> str:
        return self._entries[id].user if id in self._entries else ""

    def put(self, id: str, entry: Entry) -> None:
        """As it is from now on; what was known of that id is forgotten."""
        if old := self._entries.get(id):
            for place in old.places():
                self._places[place].pop(id, None)
        self._entries[id] = entry
        for place in entry.places():
            self._places[place][id] = None

    def merged(self, id: str, entry: Entry) -> Entry:
        """What that id becomes by a line that says `entry`."""
        old = self._entries.get(id, entry)
        dated = entry if entry.day or entry.moment else old
        return Entry(entry.title, entry.user or old.user, dated.day, dated.moment, entry.settled)

    def same(self, entry: Entry) -> str | None:
        """The id of what has that title, user and time. Raises `AmbiguousEntryError`."""
        return _only(entry, self._at(entry.sought()[0], entry, (entry.user,)))

    def near(self, entry: Entry, taken: Container[str]) -> str | None:
        """The id of the only one that does not contradict a line, those `taken` by other lines
        left out. Raises `AmbiguousEntryError`."""
        for place in entry.sought():
            for users in ((entry.user,), None):
                found = (id for id in self._at(place, entry, users) if id not in taken)
                if id := _only(entry, found):
                    return id
        return None

    def _at(self, place: _Key, entry: Entry, users: Container[str] | None) -> Iterator[str]:
        """Those at a place that are of these users; None: of whom the line may mean."""
        for id in self._places.get(place, ()):
            user = self._entries[id].user
            if user in users if users is not None else not (user and entry.user):
                yield id

    def left_behind(self, entry: Entry, taken: Container[str]) -> Entry | None:
        """The only one of that title and user that is neither settled nor among those `taken`: a
        new line of another time may be meant to move it."""
        found: Entry | None = None
        for id in self._places.get((entry.key, "any", None), ()):
            other = self._entries[id]
            if id in taken or other.settled or other.user != entry.user:
                continue
            if found:
                return None
            found = other
        return found


def _only(entry: Entry, found: Iterator[str]) -> str | None:
    first = next(found, None)
    if next(found, None) is not None:
        raise AmbiguousEntryError(
            f"plusieurs fiches correspondent à « {shown(entry.title)} » : ajoutez le code"
        )
    return first
