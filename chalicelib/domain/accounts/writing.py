"""What the letters say, as it is when they leave: the days that remain, open invoices, what is
kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import links
from chalicelib.domain.accounts.deletions import remaining_days
from chalicelib.domain.accounts.letters import CANCELLED, FINAL
from chalicelib.outbox.content import clean
from chalicelib.outbox.formats import montant
from chalicelib.settings import Settings

# Of one letter; the rest is counted.
LISTED: Final = 20

_INVOICES = text(f"""
WITH open AS (
  SELECT i.business_id, i.number, i.balance, i.currency, i.due_on, i.id,
         row_number() OVER (PARTITION BY i.business_id ORDER BY i.due_on, i.number, i.id) AS nth
    FROM ponctuel.invoices i
   WHERE i.business_id IN (SELECT jsonb_array_elements_text(CAST(:businesses AS jsonb)))
     AND i.status IN ('sent', 'partial', 'overdue') AND i.balance > 0 AND i.balance <> 'NaN'
)
SELECT business_id, currency, count(*) AS count, sum(balance)::text AS amount,
       jsonb_agg(jsonb_build_array(number, balance::text) ORDER BY nth)
         FILTER (WHERE nth <= {LISTED}) AS shown
  FROM open GROUP BY business_id, currency ORDER BY business_id, currency
""")
# Another account at the same address, which stays: somebody may have registered again.
_TWICE = text("""
SELECT DISTINCT u.business_id, u.id
  FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS a(business_id text, user_id text)
  JOIN ponctuel.users u ON u.business_id = a.business_id AND u.id = a.user_id
  JOIN ponctuel.users o ON o.business_id = u.business_id AND o.id <> u.id AND o.active
   AND lower(btrim(o.email)) = lower(btrim(u.email))
""")

Row = Mapping[str, Any]


def open_invoices(connection: Connection, businesses: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`{shown, more, totals}` of each business that has invoices to be paid."""
    found: dict[str, dict[str, Any]] = {}
    wanted = {"businesses": json.dumps(sorted(set(businesses)))}
    for row in connection.execute(_INVOICES, wanted).mappings():
        of = found.setdefault(row["business_id"], {"shown": [], "more": 0, "totals": []})
        of["shown"] += [
            {"number": clean(number) or "sans numéro", "amount": _money(left, row["currency"])}
            for number, left in row["shown"] or []
        ]
        of["more"] += row["count"] - len(row["shown"] or [])
        of["totals"].append(_money(row["amount"], row["currency"]))
    return found


def _money(amount: str, currency: str) -> str:
    """As it is written in French; a currency that nobody knows as it is."""
    try:
        return montant(amount, currency)
    except ValueError:
        return f"{amount} {clean(currency)}"


def same_address(connection: Connection, users: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of (business_id, user_id): those with another account at their address, in the business."""
    asked = json.dumps([{"business_id": business, "user_id": user} for business, user in users])
    return {(row[0], row[1]) for row in connection.execute(_TWICE, {"asked": asked})}


def content(
    kind: str,
    facts: Row,
    now: datetime,
    settings: Settings,
    *,
    zone: str,
    invoices: Mapping[str, Any] | None,
    twice: bool,
    mine: bool = True,
) -> dict[str, Any]:
    """What a letter's template needs. `facts`: of `standing`, with the deletion's columns.
    `mine`: it goes to the user, whose link nobody else is given."""
    date: datetime = facts["scheduled_at"]
    whole = not facts["others"] if kind != FINAL else facts["scope"] == "business"
    found: dict[str, Any] = {
        "letter": kind.removeprefix("accounts.deletion_"),
        "business": {"name": clean(facts["business"] or "") or facts["business_id"]},
        "name": clean(facts["name"] or "") or None,
        "whole_business": whole,
        "zone": zone,
        "twice": twice,
    }
    if kind == CANCELLED:
        return found
    found |= {
        "date": date.isoformat(),
        "day": date.astimezone(ZoneInfo(zone)).date().isoformat(),
        "days": max(remaining_days(date, now, zone), 0),
    }
    if kind != FINAL and mine:
        found["cancel_url"] = links.cancel_url(facts["id"], date, settings)
    if whole and invoices:
        found["invoices"] = invoices["shown"]
        found["unshown"] = invoices["more"]
        found["totals"] = invoices["totals"]
    return found
