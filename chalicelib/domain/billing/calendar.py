"""When a business may write: its sending window, its working days, the French holidays."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.outbox.windows import SEARCH_DAYS, Window, is_business_day, zone
from chalicelib.runner.job import ItemError, Prepared, Run


def next_opening(instant: datetime, local: ZoneInfo, window: Window) -> datetime | None:
    """The first instant (aware UTC) at or after `instant` at which the window is open; None when
    it never opens. A local time that a clock change skips opens at the moved hour."""
    if window.end <= window.start:
        return None
    today = instant.astimezone(local).date()
    for offset in range(SEARCH_DAYS):
        day = today + timedelta(days=offset)
        if window.business_days_only and not is_business_day(day, window.subdivision):
            continue
        opens = datetime.combine(day, window.start, local).astimezone(UTC)
        closes = datetime.combine(day, window.end, local).astimezone(UTC)
        if instant < closes:
            return max(instant, opens).astimezone(UTC)
    return None


def next_business_day(day: date, subdivision: str | None) -> date:
    """`day` itself, or the first business day after it."""
    while not is_business_day(day, subdivision):
        day += timedelta(days=1)
    return day


def subdivisions(calendar: Prepared) -> dict[str, str | None]:
    """The department of each business of a `calendar_at`, by its id."""
    rows: list[dict[str, str | None]] = json.loads(calendar.parameters["calendar"])
    return {str(row["business_id"]): row["subdivision"] for row in rows}


_BUSINESSES = text("""
SELECT b.id, b.zone, b.subdivision, s.window_start::text, s.window_end::text,
       s.business_days_only
  FROM ponctuel.businesses b JOIN ponctuel.billing_settings s ON s.business_id = b.id
 WHERE b.active AND (s.followups_enabled OR CAST(:everyone AS boolean))
   AND (CAST(:zone AS text) IS NULL OR b.zone = :zone)
 ORDER BY b.id
""")


def prepare(run: Run, connection: Connection) -> Prepared:
    """For each business: its local day at `run.now`, its UTC offset, and when it may next write."""
    return calendar_at(connection, run.now, zone_name=run.businesses_in)


def calendar_at(
    connection: Connection, now: datetime, *, zone_name: str | None = None, everyone: bool = False
) -> Prepared:
    """`{"calendar": JSON}`, with today, the UTC offset, the next opening and the department of each
    business. A business whose zone or window is unusable is left out of the calendar
    and reported. `everyone`: also those that have no relances (explain)."""
    rows, errors = [], []
    openings: dict[object, datetime | None] = {}
    found = connection.execute(_BUSINESSES, {"zone": zone_name, "everyone": everyone})
    for business, name, subdivision, start, end, business_days in found:
        local = zone(name or "")
        if local is None:
            errors.append(_unusable(business, "bad_zone", "Fuseau horaire inconnu"))
            continue
        window = _window(start, end, business_days, subdivision)
        if window is not None and (name, window) not in openings:
            openings[name, window] = next_opening(now, local, window)
        opens_at = openings.get((name, window))
        if opens_at is None:
            errors.append(_unusable(business, "bad_window", "Plage d'envoi jamais ouverte"))
            continue
        here = now.astimezone(local)
        offset = here.utcoffset() or timedelta(0)
        rows.append(
            {
                "business_id": business,
                "today": here.date().isoformat(),
                "utc_offset": f"{int(offset.total_seconds())} seconds",
                "opens_at": opens_at.isoformat(),
                "subdivision": subdivision,
            }
        )
    return Prepared({"calendar": json.dumps(rows)}, errors)


def _window(
    start: str | None, end: str | None, business_days_only: bool | None, subdivision: str | None
) -> Window | None:
    """The window of a business's settings, None when it cannot be read. PostgreSQL's own end of
    the day, 24:00, is no time of day in Python."""
    try:
        opens = time.fromisoformat(start or "")
        closes = time.max if (end or "").startswith("24:00") else time.fromisoformat(end or "")
    except ValueError:
        return None
    return Window(opens, closes, bool(business_days_only), subdivision)


def _unusable(business: str, code: str, what: str) -> ItemError:
    return ItemError(business, "", code, f"{what} : corrigez les paramètres de l'entreprise.")
