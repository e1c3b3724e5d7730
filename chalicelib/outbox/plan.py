"""Planning: one statement inserts every message that a domain's SELECT asks for.

The SELECT yields one row per message: business_id, kind, subject, cycle, step, channel, person,
recipient (as stored: addresses, a number, Meta's id of a user), content (jsonb), not_before,
expires_at (timestamptz), lines (jsonb or null: the keys that a letter covers besides its own),
order_key (text or null: it waits for the business's earlier messages of that key). A dry run runs
the same SELECT through `preview`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.sqlstate import database_error
from chalicelib.runner.job import Batch, Outcome, Preview, Run
from chalicelib.settings import settings

# Above the larger of these, per business and kind and day, an operator has to approve.
SURGE_FLOOR = 50
SURGE_FACTOR = 5

# Who may be written to before go-live, as a JSON array of addresses, `@domain` endings and numbers.
# One allowed address among several is enough here, and the last nine digits of a number, which may
# be written in any way: who is meant exactly is asked when it is sent.
ALLOWED = r"""EXISTS (
  SELECT 1 FROM jsonb_array_elements_text(CAST(:allow_list AS jsonb)) AS allowed(entry)
   WHERE CASE WHEN left(allowed.entry, 1) = '+'
              THEN right(regexp_replace({recipient}, '\D', '', 'g'), 9) = right(allowed.entry, 9)
              ELSE EXISTS (
                SELECT 1 FROM regexp_matches(lower({recipient}), '[^@\s;,<>]+@[^@\s;,<>]+', 'g')
                           AS one(address)
                 WHERE one.address[1] = allowed.entry
                    OR (left(allowed.entry, 1) = '@' AND one.address[1] LIKE '%' || allowed.entry))
         END)"""

_GATE = f"""CASE
  WHEN NOT EXISTS (SELECT 1 FROM ponctuel.go_lives g WHERE g.business_id = '*' AND g.kind = '*')
       AND NOT {ALLOWED.format(recipient="c.recipient")} THEN 'stage'
  WHEN NOT EXISTS (SELECT 1 FROM ponctuel.go_lives g
                    WHERE g.business_id = c.business_id AND g.kind = '*')
    OR NOT EXISTS (SELECT 1 FROM ponctuel.go_lives g
                    WHERE g.business_id = c.business_id AND g.kind = c.kind) THEN 'review'
  WHEN c.not_before > {{clock}} THEN 'window'
END"""

# Why a candidate `c` may not leave yet, or null, at the database's clock.
GATE = _GATE.replace("{clock}", "ponctuel.clock()")
# The same at the instant that is rehearsed.
_GATE_REHEARSED = _GATE.replace("{clock}", "CAST(:now AS timestamptz)")

_PLAN = """
WITH batch AS ({batch}), candidates AS ({select}),
gated AS (SELECT c.*, {gate} AS hold FROM candidates c),
inserted AS (
  INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person,
                                 recipient, content, state, hold_reason, planned_at, not_before,
                                 expires_at, run_id, order_key)
  SELECT business_id, kind, subject, cycle, step, channel, person, recipient, content,
         CASE WHEN hold IS NULL THEN 'planned' ELSE 'held' END, hold, ponctuel.clock(),
         not_before, expires_at, :run_id, order_key
    FROM gated ORDER BY business_id, kind, subject, cycle, step
  ON CONFLICT (business_id, kind, subject, cycle, step) WHERE NOT key_free DO NOTHING
  RETURNING id, business_id, kind, subject, cycle, step
), covered AS (
  INSERT INTO ponctuel.message_lines (message_id, business_id, kind, subject, cycle, step)
  SELECT i.id, i.business_id, l.kind, l.subject, l.cycle, l.step
    FROM inserted i JOIN gated g USING (business_id, kind, subject, cycle, step)
   CROSS JOIN LATERAL jsonb_to_recordset(g.lines)
              AS l(kind text, subject text, cycle text, step text)
   WHERE g.lines IS NOT NULL
)
SELECT count(*) FROM inserted
"""

# Volume of the last 24 hours against five times the median of the active days of the month before.
_SURGING = """
SELECT v.business_id, v.kind
  FROM (SELECT business_id, kind, sum(n) AS n FROM ({volumes}) counted
         GROUP BY business_id, kind HAVING sum(n) > {floor}) v
  LEFT JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY d.n) AS median
      FROM (SELECT count(*) AS n FROM ponctuel.messages m
             WHERE m.business_id = v.business_id AND m.kind = v.kind AND m.state <> 'cancelled'
               AND m.planned_at >  ponctuel.clock() - interval '31 days'
               AND m.planned_at <= ponctuel.clock() - interval '24 hours'
             GROUP BY (m.planned_at AT TIME ZONE 'UTC')::date) d
  ) past ON true
 WHERE v.n > greatest({floor}, {factor} * coalesce(past.median, 0))
""".replace("{floor}", str(SURGE_FLOOR)).replace("{factor}", str(SURGE_FACTOR))

_TODAY = """
SELECT business_id, kind, count(*) AS n FROM ponctuel.messages
 WHERE planned_at > ponctuel.clock() - interval '24 hours' AND state <> 'cancelled' {only}
 GROUP BY business_id, kind
"""

_OF_THIS_RUN = """AND business_id IN
  (SELECT business_id FROM ponctuel.messages WHERE run_id = :run_id)"""

# Materialised, or the volumes would be counted again for each message of the run.
_HOLD_SURGE = """
WITH s AS MATERIALIZED ({surging})
UPDATE ponctuel.messages m SET state = 'held', hold_reason = 'approval'
  FROM s
 WHERE m.business_id = s.business_id AND m.kind = s.kind AND m.run_id = :run_id
   AND (m.state = 'planned' OR (m.state = 'held' AND m.hold_reason = 'window'))
""".replace("{surging}", _SURGING.replace("{volumes}", _TODAY.replace("{only}", _OF_THIS_RUN)))

_HOLD_ALL = """
UPDATE ponctuel.messages SET state = 'held', hold_reason = 'approval'
 WHERE run_id = :run_id AND (state = 'planned' OR (state = 'held' AND hold_reason = 'window'))
"""

_PREVIEW = """
WITH batch AS ({batch}), candidates AS ({select}),
gated AS (SELECT c.*, {gate} AS hold FROM candidates c
           WHERE NOT EXISTS (SELECT 1 FROM ponctuel.messages m
                  WHERE m.business_id = c.business_id AND m.kind = c.kind
                    AND m.subject = c.subject AND m.cycle = c.cycle AND m.step = c.step
                    AND NOT m.key_free)),
surging AS ({surging})
SELECT g.business_id, g.kind, g.subject, g.cycle, g.step, g.channel, g.person, g.recipient,
       g.content, g.not_before, g.expires_at, g.lines,
       CASE WHEN hold IN ('stage', 'review') THEN hold
            WHEN s.kind IS NOT NULL THEN 'approval' ELSE hold END AS hold_reason
  FROM gated g LEFT JOIN surging s USING (business_id, kind)
 ORDER BY g.business_id, g.kind, g.subject, g.cycle, g.step
""".replace(
    "{surging}",
    _SURGING.replace(
        "{volumes}",
        _TODAY.replace("{only}", "")
        + "UNION ALL SELECT business_id, kind, count(*) FROM gated GROUP BY business_id, kind",
    ),
)


@dataclass(frozen=True)
class Plan:
    """The effect of a step that plans messages. `select` may use the CTE `batch` and the step's
    parameters; `left_out` (optional) yields business_id, document, subject, number, level,
    effective_on and reason of what is not due, for dry runs; and, as it may leave some of them out,
    `total`, how many have that reason. `reasons` says each code in French."""

    select: str
    left_out: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        statement = text(planning_statement(self.select, batch.cte))
        values = parameters(batch)
        planned = connection.execute(statement, values).scalar_one()
        return Outcome({"planned": planned})

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        values = parameters(batch)
        found = connection.execute(
            text(_composed(_PREVIEW, _GATE_REHEARSED, self.select, batch.cte)), values
        )
        messages = [_as_json(row) for row in found.mappings()]
        left_out: list[Mapping[str, Any]] = []
        if self.left_out:
            rows = connection.execute(text(self.left_out), batch.parameters).mappings()
            left_out = [
                _as_json(row) | {"why": self.reasons.get(row["reason"], row["reason"])}
                for row in rows
            ]
        return Preview(messages=messages, left_out=left_out)


def hold_surges(connection: Connection, run: Run) -> int:
    """Holds for approval what the run planned beyond a business's usual volume; returns how many
    messages. Called once, before anything of the run may be claimed. When the volume cannot be
    told, everything waits for approval."""
    try:
        with connection.begin_nested():
            return max(connection.execute(text(_HOLD_SURGE), {"run_id": run.id}).rowcount, 0)
    except DBAPIError as error:
        if database_error(error) is not None:
            raise
        logs.error("surge_review_failed", run_id=str(run.id), error=error)
        return max(connection.execute(text(_HOLD_ALL), {"run_id": run.id}).rowcount, 0)


def parameters(batch: Batch) -> dict[str, Any]:
    """The batch's parameters, with the stage's allow-list."""
    return {**batch.parameters, "allow_list": allow_list()}


def allow_list() -> str:
    """Who may be written to before go-live: JSON text, addresses and `@domain` endings."""
    allowed = settings().allow_list
    return json.dumps([*allowed.addresses, *(f"@{domain}" for domain in allowed.domains)])


def planning_statement(select: str, batch: str) -> str:
    """The statement that plans what `select` asks for, `batch` being the body of its CTE of that
    name; it answers how many messages it has inserted."""
    return _composed(_PLAN, GATE, select, batch)


def _composed(template: str, gate: str, select: str, batch: str) -> str:
    return template.replace("{batch}", batch).replace("{gate}", gate).replace("{select}", select)


def _as_json(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat() if hasattr(value, "isoformat") else value
        for key, value in row.items()
    }


def keys(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The message keys of a preview, to compare with what a real run planned."""
    names = ("business_id", "kind", "subject", "cycle", "step")
    return sorted(tuple(str(message[name]) for name in names) for message in messages)
