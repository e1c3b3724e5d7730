"""The follow-ups that a closer is to send: listed, opened in WhatsApp, confirmed, skipped.

Each act is one conditional UPDATE, so that two taps, two telephones or a run in between do it once;
doing it again answers the same. A follow-up counts when its closer confirms that it was sent: the
link alone proves nothing.

Whose a proposal is, is asked each time: the lead's closer of this moment, while active; without
one, those who are responsible for the business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import Connection, text

from chalicelib.domain.leads import notices
from chalicelib.domain.leads.hours import zone_of
from chalicelib.domain.leads.reasons import SKIPPED
from chalicelib.domain.leads.standing import IS_FOR, OVER
from chalicelib.domain.leads.waiting import link_of
from chalicelib.errors import BadRequest
from chalicelib.outbox.suppressions import Reason, Suppression, suppress

State = Literal["proposed", "opened", "confirmed", "skipped", "expired", "cancelled"]

# Of one page or e-mail, the oldest promise first.
LISTED = 200
# Over a weekend.
REMEMBERED = timedelta(days=3)

_IS_THEIRS = f"EXISTS (SELECT 1 FROM ponctuel.users u WHERE u.id = :closer_id AND {IS_FOR})"
# A follow-up `f` of a user's, its lead `l`, and why it may not be sent any more (`ended`).
JUDGED = f"""
SELECT f.id, f.business_id, f.lead_id, f.number, f.state, f.phone, f.content, f.due_at,
       f.proposed_at, f.opened_at, f.settled_at, f.expires_at, f.reason, l.name, l.stage, l.zone,
       b.zone AS business_zone, {OVER} AS ended
  FROM ponctuel.lead_followups f
  LEFT JOIN ponctuel.leads l ON l.business_id = f.business_id AND l.id = f.lead_id
  LEFT JOIN ponctuel.businesses b ON b.id = f.business_id
 WHERE f.business_id = :business_id AND f.mode = 'assisted' AND {_IS_THEIRS}
"""
# The page asked for, else the last one; a row without a proposal when there is none.
_DUE = text(f"""
WITH due AS MATERIALIZED (
  SELECT j.* FROM ({JUDGED} AND f.state IN ('proposed','opened')) j
   WHERE j.ended IS NULL AND j.expires_at > :clock
), counted AS (SELECT count(*) AS total FROM due)
SELECT c.total, d.* FROM counted c LEFT JOIN LATERAL (
  SELECT * FROM due ORDER BY due_at, id LIMIT :limit
  OFFSET least(CAST(:page AS bigint) - 1, (greatest(c.total, 1) - 1) / :limit) * :limit) d ON true
 ORDER BY d.due_at, d.id
""")
ONE = text(f"{JUDGED} AND f.id = :id")
_OPEN = text(f"""
UPDATE ponctuel.lead_followups t SET state = 'opened', opened_at = ponctuel.clock()
  FROM ({JUDGED} AND f.id = :id) j
 WHERE t.id = j.id AND t.state IN ('proposed','opened') AND t.expires_at > ponctuel.clock()
   AND j.ended IS NULL
""")
# Of a row `{0}`: another one has taken its place in the cadence.
_REPLACED = """EXISTS (
  SELECT 1 FROM ponctuel.lead_followups o
   WHERE o.business_id = {0}.business_id AND o.lead_id = {0}.lead_id AND o.cycle = {0}.cycle
     AND o.number = {0}.number AND o.id <> {0}.id AND o.state <> 'cancelled')"""
# Also when the answer, or the end of its time, came between opening it and saying so: it was sent.
_CONFIRM = text(f"""
UPDATE ponctuel.lead_followups t
   SET state = 'confirmed', settled_at = ponctuel.clock(), settled_by = :by, reason = NULL
  FROM ({JUDGED} AND f.id = :id) j
 WHERE t.id = j.id
   AND (t.state IN ('proposed','opened')
        OR (t.state IN ('expired','cancelled') AND t.opened_at IS NOT NULL
            AND NOT {_REPLACED.format("t")}))
""")
_WITHDRAWN = text(f"""
SELECT j.* FROM ({JUDGED}
   AND (f.state = 'opened'
        OR (f.state IN ('expired','cancelled') AND f.opened_at IS NOT NULL
            AND f.settled_at >= :since AND NOT {_REPLACED.format("f")}))) j
 WHERE j.state <> 'opened' OR j.ended IS NOT NULL OR j.expires_at <= :clock
 ORDER BY j.opened_at, j.id LIMIT :limit
""")
_SKIP = text(f"""
UPDATE ponctuel.lead_followups t
   SET state = 'skipped', settled_at = ponctuel.clock(), settled_by = :by, reason = :reason
  FROM ({JUDGED} AND f.id = :id) j
 WHERE t.id = j.id AND t.state IN ('proposed','opened')
""")
# `leads` may be somebody's view: each a plain UPDATE.
OF_LEAD = "WHERE business_id = :business_id AND id = :lead_id"
COUNT = text(f"""
UPDATE ponctuel.leads SET followups = followups + 1, last_followup_at = ponctuel.clock() {OF_LEAD}
""")
_REPLIED = text(f"UPDATE ponctuel.leads SET replied_at = ponctuel.clock() {OF_LEAD}")
_OPTED_OUT = text(f"UPDATE ponctuel.leads SET opted_out = true {OF_LEAD}")

# What a closer says of a lead's number → how the suppression list calls it.
_SUPPRESSES: Mapping[str, Reason] = {"opted_out": "stop", "wrong_number": "unreachable"}


@dataclass(frozen=True)
class Proposal:
    """`link` opens WhatsApp on the text, for a proposal that may still be sent; `reason`: the code
    why it was skipped or cancelled, or why it may not be sent any more (`reasons`). `zone`: the
    lead's (IANA). Instants are aware. `changed`: whether this call did it."""

    id: int
    lead_id: str
    name: str = field(repr=False)
    stage: str
    number: int
    state: State
    phone: str = field(repr=False)
    text: str = field(repr=False)
    link: str | None = field(repr=False)
    zone: str
    due_at: datetime
    proposed_at: datetime
    opened_at: datetime | None
    settled_at: datetime | None
    expires_at: datetime
    reason: str | None
    changed: bool = False


@dataclass(frozen=True)
class Due:
    """One page of what a user is to send; `total`: how many there are on all of them."""

    total: int
    proposals: list[Proposal]


def due_of(
    connection: Connection,
    business_id: str,
    closer_id: str,
    clock: datetime,
    *,
    page: int = 1,
    per_page: int = LISTED,
) -> Due:
    """What this user is to send at `clock` (aware), the oldest promise first: the page asked for,
    from 1; the last one for a number beyond. A lead that has answered, was won or lost, or does not
    want it any more is not among them, even before a run has said so. Empty for somebody who is no
    active user of the business."""
    values = {"business_id": business_id, "closer_id": closer_id, "clock": clock}
    cut = {"page": max(1, page), "limit": per_page}
    rows = connection.execute(_DUE, values | cut).mappings().all()
    return Due(rows[0]["total"], [proposal_of(row) for row in rows if row["id"] is not None])


def withdrawn_of(
    connection: Connection, business_id: str, closer_id: str, clock: datetime
) -> list[Proposal]:
    """What this user opened and did not confirm before it was withdrawn, or its time was over, in
    the days before `clock` (aware): it may have been sent."""
    values = {"business_id": business_id, "closer_id": closer_id, "clock": clock, "limit": LISTED}
    since = {"since": clock - REMEMBERED}
    return [proposal_of(row) for row in connection.execute(_WITHDRAWN, values | since).mappings()]


def find(
    connection: Connection, business_id: str, closer_id: str, proposal_id: int
) -> Proposal | None:
    """One of theirs, in whichever state. None: no proposal of theirs."""
    where = {"business_id": business_id, "closer_id": closer_id, "id": proposal_id}
    row = connection.execute(ONE, where).mappings().first()
    return None if row is None else proposal_of(row)


def open_(
    connection: Connection, business_id: str, closer_id: str, proposal_id: int
) -> Proposal | None:
    """Records that the closer opens WhatsApp with it, and gives the link. Without a link it may not
    be sent any more: `reason` says why. None: no proposal of theirs."""
    return _act(connection, _OPEN, business_id, closer_id, proposal_id)


def confirm(
    connection: Connection, business_id: str, closer_id: str, proposal_id: int
) -> Proposal | None:
    """Records that it was sent, and counts it on the lead, once. A proposal that was opened may be
    confirmed after it expired or was cancelled. None: no proposal of theirs."""
    found = _act(connection, _CONFIRM, business_id, closer_id, proposal_id)
    if found is not None and found.changed:
        connection.execute(COUNT, {"business_id": business_id, "lead_id": found.lead_id})
        notices.resolve(connection, business_id)
    return found


def skip(
    connection: Connection, business_id: str, closer_id: str, proposal_id: int, reason: str
) -> Proposal | None:
    """Records that it will not be sent. `replied` and `opted_out` end the lead's cadence,
    `opted_out` and `wrong_number` every WhatsApp message of the business to the number; after the
    others the next follow-up comes at its time. None: no proposal of theirs. Raises `BadRequest`
    for a reason that is not in `reasons.SKIPPED`."""
    if reason not in SKIPPED:
        raise BadRequest(f"Raison inconnue. Au choix : {', '.join(SKIPPED)}.")
    found = _act(connection, _SKIP, business_id, closer_id, proposal_id, reason=reason)
    if found is None or not found.changed:
        return found
    lead = {"business_id": business_id, "lead_id": found.lead_id}
    if reason == "replied":
        connection.execute(_REPLIED, lead)
    if reason == "opted_out":
        connection.execute(_OPTED_OUT, lead)
    if reason in _SUPPRESSES:
        entry = Suppression(
            business_id,
            "whatsapp",
            found.phone,
            _SUPPRESSES[reason],
            source=f"closer:{closer_id}",
        )
        suppress(connection, [entry])
    notices.resolve(connection, business_id)
    return found


def _act(
    connection: Connection,
    statement: Any,
    business_id: str,
    closer_id: str,
    proposal_id: int,
    **values: str,
) -> Proposal | None:
    where = {"business_id": business_id, "closer_id": closer_id, "id": proposal_id}
    by = {"by": f"closer:{closer_id}"} if statement is not _OPEN else {}
    changed = connection.execute(statement, where | by | values).rowcount == 1
    row = connection.execute(ONE, where).mappings().first()
    return None if row is None else proposal_of(row, changed=changed)


def proposal_of(row: Mapping[Any, Any], *, changed: bool = False) -> Proposal:
    pending = row["state"] in ("proposed", "opened")
    sendable = pending and row["ended"] is None
    link = link_of(row["phone"], row["content"]) if sendable else None
    unsendable = "unsendable" if sendable and link is None else None
    return Proposal(
        id=row["id"],
        lead_id=row["lead_id"],
        name=row["name"] or row["lead_id"],
        stage=row["stage"] or "",
        number=row["number"],
        state=cast("State", row["state"]),
        phone=row["phone"] or "",
        text=row["content"],
        link=link,
        zone=zone_of(row["zone"], row["phone"], row["business_zone"]).key,
        due_at=row["due_at"],
        proposed_at=row["proposed_at"],
        opened_at=row["opened_at"],
        settled_at=row["settled_at"],
        expires_at=row["expires_at"],
        reason=row["ended"] or unsendable if pending else row["reason"],
        changed=changed,
    )
