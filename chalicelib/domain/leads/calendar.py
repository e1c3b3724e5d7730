"""Since when it is today in each business that follows its leads up."""

from __future__ import annotations

import json
from datetime import datetime, time

from sqlalchemy import Connection, text

from chalicelib.domain.leads.hours import window_of
from chalicelib.outbox.windows import zone
from chalicelib.runner.job import ItemError, Prepared, Run

_BUSINESSES = text("""
SELECT b.id, b.zone, b.subdivision, s.window_start::text, s.window_end::text, s.business_days_only
  FROM ponctuel.businesses b JOIN ponctuel.lead_settings s ON s.business_id = b.id
 WHERE b.active AND (s.followups_enabled OR CAST(:everyone AS boolean)) ORDER BY b.id
""")


def prepare(run: Run, connection: Connection) -> Prepared:
    """For each business: the beginning of its day at `run.now`, which the daily cap counts from."""
    return calendar_at(connection, run.now)


def calendar_at(connection: Connection, now: datetime, *, everyone: bool = False) -> Prepared:
    """`{"calendar": JSON}`. A business whose zone or hours are unusable is left out and reported.
    `everyone`: also those that follow no lead up (explain)."""
    rows, errors = [], []
    for row in connection.execute(_BUSINESSES, {"everyone": everyone}).mappings():
        local = zone(row["zone"] or "")
        if local is None or window_of(row) is None:
            code, what = (
                ("bad_zone", "Fuseau horaire inconnu")
                if local is None
                else ("bad_window", "Plage horaire des relances jamais ouverte")
            )
            sentence = f"{what} : corrigez les paramètres de l'entreprise."
            errors.append(ItemError(row["id"], "", code, sentence))
            continue
        start = datetime.combine(now.astimezone(local).date(), time.min, local)
        rows.append({"business_id": row["id"], "day_start": start.isoformat()})
    return Prepared({"calendar": json.dumps(rows)}, errors)
