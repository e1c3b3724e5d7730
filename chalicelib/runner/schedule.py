"""When a job is due: the slots of a five-field cron expression, as a zone's wall clocks show it.

The semantics are those of Debian's cron, which `cronsim` follows (`man 8 cron`, daylight saving):

- A job at fixed times (neither its minute nor its hour field starts with `*`) runs once on a
  clock-change day too: a time that the clock skips runs at the instant of the change, a time that
  the clock shows twice runs the first time only.
- Any other job follows the clock: nothing in a skipped hour, twice in a repeated one.
- Day of month and day of week must both match if either field starts with `*`, else one is enough.
  Besides Debian's syntax `cronsim` reads `L` and `LW` (last day, last weekday of the month),
  `5L` (last Friday) and `5#2` (second Friday).

`cronsim` only walks naive wall-clock times here, forwards and backwards; this module places them on
the UTC line. Given aware times, `cronsim` 2.8 misses slots after a change of half an hour, invents
some after a change at midnight, answers with the past from inside a repeated hour, and backwards
can disagree with itself or never end (`15 */2 * * 0`, Pacific/Chatham, 2 April 2039).

Every public datetime is aware; results are in UTC. Nothing here reads the current time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

from chalicelib.errors import SettingsError

# As far as cronsim looks before it gives up. The rarest date, a given weekday on 29 February, comes
# back after 40 years at most (across 2100).
SEARCH_YEARS = 50

_FRENCH_FIELDS = {
    "Bad minute": "la minute doit aller de 0 à 59",
    "Bad hour": "l’heure doit aller de 0 à 23",
    "Bad day-of-month": "le jour du mois doit exister et aller de 1 à 31, ou L pour le dernier",
    "Bad month": "le mois doit aller de 1 à 12",
    "Bad day-of-week": "le jour de la semaine doit aller de 0 (dimanche) à 7 (dimanche)",
}


@dataclass(frozen=True, slots=True)
class DueSlots:
    """The earliest and the latest of the due slots, aware UTC; equal when there is only one."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression on the clocks of one IANA zone. Build it with `parse`, which validates."""

    expression: str
    zone: str

    @classmethod
    def parse(cls, expression: str, zone: str) -> Schedule:
        """A valid schedule that comes round at least once.

        Raises SettingsError, in French, when `expression` is not a five-field cron expression or
        can never match, or when `zone` is not an IANA zone name.
        """
        schedule = cls(" ".join(expression.split()), zone)
        time_zone(zone)
        _check_fields(schedule.expression)
        schedule.next_after(datetime(2020, 1, 1, tzinfo=UTC))
        return schedule

    def next_after(self, instant: datetime) -> datetime:
        """The first slot strictly after `instant`, aware UTC.

        Raises ValueError for a naive `instant`, SettingsError if no slot comes within 50 years.
        """
        for slot in self._ascending(instant):
            return slot
        raise SettingsError(
            f"La planification « {self.expression} » ({self.zone}) ne tombe jamais : "
            "corrigez le jour, le mois ou l’heure."
        )

    def latest_at(self, instant: datetime) -> datetime | None:
        """The last slot at or before `instant`, aware UTC; None if the 50 years before have none.

        Raises ValueError for a naive `instant`.
        """
        local, repeated = self._on_the_wall(instant)
        # cronsim looks strictly before its start: one second more includes `instant` itself.
        start = local + repeated + timedelta(seconds=1)
        return next((slot for slot in self._walk(start, back=True) if slot <= instant), None)

    def due(self, covered_through: datetime, until: datetime) -> DueSlots | None:
        """First and last slot in (covered_through, until], or None: its cost does not grow with
        the number of slots in between. Raises ValueError for a naive datetime.
        """
        _check_aware(covered_through)
        last = self.latest_at(until)
        if last is None or last <= covered_through:
            return None
        return DueSlots(self.next_after(covered_through), last)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Every slot in [start, end), ascending and distinct, aware UTC, one at a time.

        Raises ValueError for a naive datetime.
        """
        _check_aware(end)
        for slot in self._ascending(start - timedelta(microseconds=1)):
            if slot >= end:
                return
            yield slot

    def _ascending(self, instant: datetime) -> Iterator[datetime]:
        """The slots strictly after `instant`, distinct."""
        local, repeated = self._on_the_wall(instant)
        last = instant
        for slot in self._walk(local - repeated, back=False):
            if slot > last:
                last = slot
                yield slot

    def _on_the_wall(self, instant: datetime) -> tuple[datetime, timedelta]:
        """The naive local time of `instant`, and how much later (or earlier) the clock shows that
        same time again: zero, except inside a repeated hour."""
        _check_aware(instant)
        zone = time_zone(self.zone)
        local = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        first, second = _offsets(local, zone)
        return local, first - second

    def _walk(self, start: datetime, *, back: bool) -> Iterator[datetime]:
        """Slots of the wall-clock times strictly after (or before) naive local `start`, in UTC and
        in order; the wall-clock times of one skipped hour give equal neighbours.
        """
        from cronsim import CronSim

        zone = time_zone(self.zone)
        follows_clock = any(field.startswith("*") for field in self.expression.split()[:2])
        other_pass: list[datetime] = []
        for wall in CronSim(self.expression, start, reverse=back):
            if abs(wall.year - start.year) > SEARCH_YEARS:
                break
            instants = _instants(wall, zone, follows_clock=follows_clock)
            if not instants:
                continue
            if back:
                instants.reverse()
            # A repeated hour is walked once: its other pass waits until the walk is beyond it.
            if other_pass and (instants[0] < other_pass[0]) is back:
                yield from other_pass
                other_pass.clear()
            yield instants[0]
            other_pass += instants[1:]


def _instants(wall: datetime, zone: tzinfo, *, follows_clock: bool) -> list[datetime]:
    """The instants (UTC, ascending) at which a job planned for naive local `wall` runs."""
    first, second = _offsets(wall, zone)
    if first < second:  # skipped
        if follows_clock:
            return []
        while first < second:
            wall += timedelta(minutes=1)
            first, second = _offsets(wall, zone)
    instants = [(wall - first).replace(tzinfo=UTC)]
    if follows_clock and first > second:  # repeated
        instants.append((wall - second).replace(tzinfo=UTC))
    return instants


def _offsets(wall: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """UTC offsets of naive local `wall`, by PEP 495: the first is the greater in a repeated hour,
    the lesser in a skipped one; elsewhere they are equal.
    """
    first = wall.replace(tzinfo=zone, fold=0).utcoffset()
    second = wall.replace(tzinfo=zone, fold=1).utcoffset()
    assert first is not None
    assert second is not None
    return first, second


def _check_aware(instant: datetime) -> None:
    if instant.utcoffset() is None:
        raise ValueError("a schedule needs aware datetimes")


def _check_fields(expression: str) -> None:
    from cronsim import CronSim, CronSimError

    reason = "il faut cinq champs : minute, heure, jour du mois, mois, jour de la semaine"
    if len(expression.split()) == 5:
        try:
            CronSim(expression, datetime(2020, 1, 1))  # noqa: DTZ001  a wall-clock time has no zone
        except CronSimError as error:
            reason = _FRENCH_FIELDS.get(str(error), "un champ est illisible")
        except ValueError:  # a number of thousands of digits, which int() refuses
            reason = "un champ est illisible"
        else:
            return
    raise SettingsError(
        f"La planification « {expression:.60} » est invalide : {reason}. "
        "Exemple : « 0 10 * * 1 » pour chaque lundi à 10 h."
    )


@cache
def time_zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        # Files that some systems keep beside the IANA zones: the machine's own zone, a placeholder,
        # and copies, of which `right/` counts leap seconds.
        if name.startswith(("posix/", "right/")) or name in {"localtime", "posixrules", "Factory"}:
            raise ValueError(name)
        return ZoneInfo(name)
    # ZoneInfo raises KeyError for an unknown name, ValueError for a path, OSError for a folder.
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"Le fuseau horaire « {name:.60} » est inconnu : écrivez un nom IANA, "
            "par exemple « Europe/Paris » ou « Indian/Reunion »."
        ) from None
