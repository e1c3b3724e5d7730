"""Going live: of the stage, of a business, of one kind of message.

Until then messages are planned and held, so that an operator can read what would have left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest
from chalicelib.outbox import kinds
from chalicelib.outbox.kinds import Kind
from chalicelib.outbox.operator import needed
from chalicelib.outbox.plan import GATE, allow_list

SHADOW = ("review", "stage")

_OPEN = text("""
INSERT INTO ponctuel.go_lives (business_id, kind, at, by, reason)
SELECT business_id, kind, ponctuel.clock(), :by, :reason
  FROM jsonb_to_recordset(CAST(:scopes AS jsonb)) AS s(business_id text, kind text)
    ON CONFLICT DO NOTHING
RETURNING business_id, kind
""")

# Held for the stage or in review, in the scope that opens: judged again, or discarded.
_JUDGE = """
WITH gated AS (
  SELECT c.id, c.hold_reason AS was, {gate} AS hold FROM ponctuel.messages c
   WHERE c.state = 'held' AND c.hold_reason IN ({holds})
     AND (CAST(:business_id AS text) IS NULL OR (c.business_id = :business_id AND c.kind IN
          (SELECT value FROM jsonb_array_elements_text(CAST(:kinds AS jsonb)))))
     FOR UPDATE OF c
), changed AS (
  UPDATE ponctuel.messages m SET {change}
    FROM gated WHERE m.id = gated.id AND gated.hold IS DISTINCT FROM gated.was
  RETURNING m.id, m.state, m.hold_reason
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), CASE WHEN hold_reason = 'review' THEN 'under_review' ELSE :event END,
         :by, :reason
    FROM changed RETURNING 1
)
SELECT (SELECT count(*) FROM gated) AS found, (SELECT count(*) FROM recorded) AS recorded,
       (SELECT count(*) FROM changed WHERE hold_reason IS DISTINCT FROM 'review') AS freed
"""


@dataclass(frozen=True)
class WentLive:
    """`opened`: the (business, kind) pairs that were not live before. Of the messages that were
    held in that scope: how many may leave now, were discarded, or are still held."""

    opened: tuple[tuple[str, str], ...]
    released: int
    discarded: int
    still_held: int


def go_live(
    connection: Connection,
    *,
    business_id: str | None = None,
    kind: str | None = None,
    by: str,
    reason: str,
    discard: bool = False,
) -> WentLive:
    """Opens the stage, a business with every kind of today, or one kind of a business; then lets go
    what was held for that, or with `discard` cancels it. Harmless when it is live already. Raises
    `BadRequest` and `NotFound`."""
    if kind is not None and business_id is None:
        raise BadRequest("Un genre se met en service pour une entreprise : précisez laquelle.")
    names = [kinds.load(kind).name] if kind else [found.name for found in all_kinds()]
    scopes = [("*", "*")] if business_id is None else [(business_id, k) for k in ("*", *names)]
    opened = connection.execute(
        _OPEN,
        {
            "scopes": json.dumps([{"business_id": b, "kind": k} for b, k in scopes]),
            "by": by,
            "reason": needed(reason),
        },
    ).all()
    # Messages in review belong to businesses that wait for their own go-live, not for the stage's.
    held = ("stage",) if discard and business_id is None else SHADOW
    statement = _JUDGE.format(
        gate="NULL" if discard else GATE,
        holds=", ".join(f"'{hold}'" for hold in held),
        change="state = 'cancelled', hold_reason = NULL, settled_at = ponctuel.clock(),"
        " error_code = 'discarded'"
        if discard
        else "state = CASE WHEN gated.hold IS NULL THEN 'planned' ELSE 'held' END,"
        " hold_reason = gated.hold",
    )
    values = {
        "business_id": business_id,
        "kinds": json.dumps(names),
        "event": "discarded" if discard else "released",
        "by": by,
        "reason": reason,
    } | ({} if discard else {"allow_list": allow_list()})
    found, _recorded, freed = connection.execute(text(statement), values).one()
    return WentLive(
        opened=tuple(sorted((row[0], row[1]) for row in opened)),
        released=0 if discard else freed,
        discarded=freed if discard else 0,
        still_held=found - freed,
    )


def all_kinds() -> list[Kind]:
    """Every kind that a domain registers, by name, the operator's own alerts excepted."""
    import chalicelib.domain as domains

    for package in iter_modules(domains.__path__, "chalicelib.domain."):
        if package.ispkg and find_spec(f"{package.name}.kinds"):
            import_module(f"{package.name}.kinds")
    registered = kinds._KINDS.values()
    return sorted((k for k in registered if not k.operational), key=lambda k: k.name)
