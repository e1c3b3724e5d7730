"""Writing what became of the mailboxes that a process held: three statements, however many; one
where all is well, as it mostly is."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from chalicelib.domain.inbox.trouble import NOTICES
from chalicelib.mailboxes.report import Outcome, Recorded
from chalicelib.mailboxes.standing import Decision, Host, Standing, failed, succeeded
from chalicelib.outbox.plan import allow_list, planning_statement

# Of the host's mailboxes, those of this call are counted by what has just become of them.
_HELD = text("""
WITH given AS (
  SELECT * FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS o(id bigint, fence bigint)
), held AS MATERIALIZED (
  SELECT m.* FROM ponctuel.mailboxes m JOIN given g ON g.id = m.id AND g.fence = m.fence
   ORDER BY m.id FOR UPDATE OF m
), hosts AS (
  SELECT m.host, count(*) AS mailboxes,
         count(*) FILTER (WHERE m.refusals > 0 AND m.id NOT IN (SELECT id FROM held)) AS refused
    FROM ponctuel.mailboxes m
   WHERE m.state = 'active' AND m.host IN (SELECT host FROM held)
   GROUP BY m.host
)
SELECT h.id, h.fence, h.host, h.state, h.failures, h.failing_since, h.refusals, h.refused_since,
       h.error_code, h.error, h.told_code, ponctuel.clock() AS clock,
       coalesce(o.mailboxes, 0) AS host_mailboxes, coalesce(o.refused, 0) AS host_refused
  FROM held h LEFT JOIN hosts o USING (host)
 ORDER BY h.id
""")
# Without a state, the mailbox keeps its own; without a time, it is due at once.
_WRITE = text("""
UPDATE ponctuel.mailboxes m
   SET state = COALESCE(n.state, m.state),
       next_sync_at = COALESCE(n.next_sync_at, ponctuel.clock()),
       synced_at = CASE WHEN n.complete THEN ponctuel.clock() ELSE m.synced_at END,
       failures = n.failures, failing_since = n.failing_since,
       refusals = n.refusals, refused_since = n.refused_since,
       error_code = n.error_code, error = n.error, told_code = n.told_code,
       held_until = NULL, deaths = 0
  FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n(
    id bigint, fence bigint, complete boolean, state text, next_sync_at timestamptz,
    failures integer, failing_since timestamptz, refusals integer, refused_since timestamptz,
    error_code text, error text, told_code text)
 WHERE m.id = n.id AND m.fence = n.fence
RETURNING m.id
""")


def record(
    connection: Connection,
    outcomes: Sequence[Outcome],
    *,
    next_tick: datetime,
    run_id: UUID | None = None,
    draw: Callable[[], float] = random.random,
) -> Recorded:
    """Writes the outcomes, lets the mailboxes go and plans what their owners are to be told, in the
    caller's transaction. `next_tick` (aware): when a healthy mailbox is due again. `draw` gives
    numbers from 0 to 1, for jitter."""
    if not outcomes:
        return Recorded((), (), (), 0)
    by_id = {outcome.mailbox_id: outcome for outcome in outcomes}
    if all(outcome.code is None for outcome in outcomes):
        return _all_well(connection, by_id, next_tick)
    given = json.dumps([{"id": o.mailbox_id, "fence": o.fence} for o in by_id.values()])
    rows = connection.execute(_HELD, {"outcomes": given}).mappings().all()
    refused = Counter(row["host"] for row in rows if _stays_refused(row, by_id[row["id"]]))
    decisions = {
        row["id"]: _decide(row, by_id[row["id"]], refused[row["host"]], next_tick, draw)
        for row in rows
    }
    news = [_as_row(by_id[id_], decision) for id_, decision in decisions.items()]
    if news:
        connection.execute(_WRITE, {"news": json.dumps(news)})
    tell = [id_ for id_, decision in decisions.items() if decision.tell]
    return Recorded(
        written=tuple(decisions),
        lost=tuple(id_ for id_ in by_id if id_ not in decisions),
        stopped=tuple(
            row["id"]
            for row in rows
            if row["state"] == "active" and decisions[row["id"]].standing.state != "active"
        ),
        told=_plan_notices(connection, tell, run_id) if tell else 0,
    )


def _all_well(
    connection: Connection, by_id: Mapping[int, Outcome], next_tick: datetime
) -> Recorded:
    """Whatever there was before, it is over: nothing of it needs to be read."""
    well = succeeded(Standing(), next_tick=next_tick)
    news = [
        {
            **_as_row(outcome, well),
            "state": None,
            **({} if outcome.complete else {"next_sync_at": None}),
        }
        for outcome in by_id.values()
    ]
    written = connection.execute(_WRITE, {"news": json.dumps(news)}).scalars().all()
    lost = tuple(id_ for id_ in by_id if id_ not in written)
    return Recorded(written=tuple(written), lost=lost, stopped=(), told=0)


def _stays_refused(row: RowMapping, outcome: Outcome) -> bool:
    """Whether the host still refuses this active mailbox, as far as is known."""
    if row["state"] != "active" or outcome.code in (None, "folder"):
        return False
    return outcome.code == "credentials" or row["refusals"] > 0


def _decide(
    row: RowMapping,
    outcome: Outcome,
    refused_here: int,
    next_tick: datetime,
    draw: Callable[[], float],
) -> Decision:
    before = Standing(**{name: row[name] for name in Standing.__dataclass_fields__})
    if outcome.code is None:
        return succeeded(before, next_tick=next_tick if outcome.complete else row["clock"])
    host = Host(row["host_mailboxes"], row["host_refused"] + refused_here)
    return failed(before, outcome.code, outcome.error, host, row["clock"], jitter=draw())


def _as_row(outcome: Outcome, decision: Decision) -> Mapping[str, Any]:
    standing = decision.standing
    return {
        "id": outcome.mailbox_id,
        "fence": outcome.fence,
        "complete": outcome.code is None and outcome.complete,
        "next_sync_at": decision.next_sync_at.isoformat(),
        **{
            name: value.isoformat() if isinstance(value, datetime) else value
            for name in Standing.__dataclass_fields__
            for value in (getattr(standing, name),)
        },
    }


def _plan_notices(connection: Connection, mailboxes: Sequence[int], run_id: UUID | None) -> int:
    planned: int = connection.execute(
        text(planning_statement(NOTICES, "SELECT 1")),
        {"mailboxes": json.dumps(mailboxes), "run_id": run_id, "allow_list": allow_list()},
    ).scalar_one()
    return planned
