"""What an operator does with messages: release, cancel, settle what is uncertain.

Every action is one statement that checks the state it acts on, so it can neither race with delivery
nor be applied twice; what it leaves alone is named with the reason. Each change records an event
with who did it and why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox import kinds
from chalicelib.outbox.plan import ALLOWED, allow_list

# What an operator reads.
STATES: Mapping[str, str] = {
    "planned": "prévu",
    "held": "retenu",
    "claimed": "pris en charge",
    "submitting": "en cours d'envoi",
    "accepted": "accepté",
    "refused": "refusé",
    "uncertain": "incertain",
    "delivered": "remis",
    "failed": "non remis",
    "cancelled": "annulé",
    "expired": "trop tard",
}
HOLDS: Mapping[str, str] = {
    "window": "hors de la plage d'envoi",
    "attachment": "pièce jointe manquante",
    "variable": "information manquante",
    "sender": "pas d'adresse d'expédition",
    "template": "modèle en échec",
    "guard": "vérification en échec",
    "unknown_kind": "genre de message inconnu de cette version",
    "approval": "volume inhabituel, à approuver",
    "review": "en revue avant la mise en service",
    "stage": "étape pas en service",
    "quarantine": "mis de côté : il a interrompu l'envoi plusieurs fois",
    "restored": "base restaurée : il est peut-être déjà parti",
}
# Holds that only an operator lifts.
RELEASABLE = ("review", "approval", "stage", "quarantine", "restored")

_ACT = """
WITH asked AS (
  SELECT DISTINCT CAST(value AS bigint) AS id
    FROM jsonb_array_elements_text(CAST(:ids AS jsonb))
), late AS (
  SELECT key AS kind, CAST(value AS interval) AS late_after
    FROM jsonb_each_text(CAST(:late_after AS jsonb))
), locked AS (
  SELECT m.id, m.kind, m.state, m.hold_reason, m.key_free, {may_leave} AS may_leave
    FROM ponctuel.messages m WHERE m.id IN (SELECT id FROM asked) FOR UPDATE OF m
), changed AS (
  UPDATE ponctuel.messages m SET {change}
    FROM locked LEFT JOIN late USING (kind) WHERE m.id = locked.id AND ({allowed})
  RETURNING m.id
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), :event, :by, :reason FROM changed RETURNING 1
)
SELECT asked.id, locked.kind, locked.state, locked.hold_reason, locked.key_free, locked.may_leave,
       changed.id IS NOT NULL AS changed, (SELECT count(*) FROM recorded) AS recorded
  FROM asked LEFT JOIN locked USING (id) LEFT JOIN changed USING (id) ORDER BY asked.id
""".replace(
    "{may_leave}",
    "EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*' AND kind = '*') OR "
    + ALLOWED.format(recipient="m.recipient"),
)

_RELEASABLE = ", ".join(f"'{hold}'" for hold in RELEASABLE)
_RELEASE = _ACT.format(
    change="state = 'planned', hold_reason = NULL, claims = 0",
    allowed=f"locked.state = 'held' AND locked.hold_reason IN ({_RELEASABLE}) AND locked.may_leave",
)
# A claimed message is not submitted yet: its claimer finds it gone.
_CANCEL = _ACT.format(
    change="state = 'cancelled', hold_reason = NULL, settled_at = ponctuel.clock(),"
    " error_code = 'cancelled_by_operator', error = NULL",
    allowed="locked.state IN ('planned', 'held', 'claimed')",
)
_ARRIVED = _ACT.format(
    change="state = 'accepted', hold_reason = NULL, settled_at = ponctuel.clock(), proof_at = NULL,"
    " error_code = NULL, error = NULL",
    allowed="locked.state = 'uncertain'"
    " OR (locked.state = 'held' AND locked.hold_reason IN ('restored', 'review'))",
)
# The limit counts anew: the operator knows how late it is.
_RESEND = _ACT.format(
    change="state = 'planned', not_before = ponctuel.clock(), attempts = 0, claims = 0,"
    " proofs = 0, proof_at = NULL, claim_id = NULL, settled_at = NULL, error_code = NULL,"
    " error = NULL,"
    " expires_at = greatest(m.expires_at, ponctuel.clock() + late.late_after)",
    allowed="locked.state IN ('uncertain', 'refused') AND NOT locked.key_free"
    " AND late.late_after IS NOT NULL",
)

_HELD_OF_KIND = text("""
SELECT id FROM ponctuel.messages
 WHERE business_id = :business_id AND kind = :kind AND state = 'held'
   AND hold_reason IN ('review', 'approval', 'stage', 'restored') ORDER BY id
""")
_KINDS_OF = text("""
SELECT DISTINCT kind FROM ponctuel.messages
 WHERE id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")


@dataclass(frozen=True)
class Left:
    """A message that an action left as it was; `why` is French. `state` is None if there is no such
    message."""

    id: int
    state: str | None
    why: str


@dataclass(frozen=True)
class Acted:
    changed: tuple[int, ...]
    left: tuple[Left, ...]


def release(connection: Connection, ids: Sequence[int], *, by: str, reason: str = "") -> Acted:
    """held (review, approval, stage, quarantine, restored) → planned. While the stage is not live,
    only what goes to the allow-list."""
    return _act(connection, _RELEASE, "released", ids, by, reason)


def release_kind(
    connection: Connection, business_id: str, kind: str, *, by: str, reason: str = ""
) -> Acted:
    """`release` for all that a business has held of one kind. Raises `NotFound`."""
    kinds.load(kind)
    where = {"business_id": business_id, "kind": kind}
    ids = [row[0] for row in connection.execute(_HELD_OF_KIND, where)]
    return release(connection, ids, by=by, reason=reason)


def cancel(connection: Connection, ids: Sequence[int], *, by: str, reason: str) -> Acted:
    """planned, held or claimed → cancelled. The key stays taken: it is not planned again."""
    return _act(connection, _CANCEL, "cancelled", ids, by, needed(reason))


def arrived(connection: Connection, ids: Sequence[int], *, by: str, reason: str) -> Acted:
    """uncertain, or held (restored, review) → accepted, because the operator has seen that it
    arrived: after a restore, a message of before may have been planned again."""
    return _act(connection, _ARRIVED, "arrived", ids, by, needed(reason))


def resend(connection: Connection, ids: Sequence[int], *, by: str, reason: str) -> Acted:
    """uncertain or refused → planned, with its attempts and its lateness counted anew. Its guard is
    asked again; a message whose key was freed is left, because another may have taken its place."""
    return _act(connection, _RESEND, "resent", ids, by, needed(reason))


def _act(
    connection: Connection, statement: str, event: str, ids: Sequence[int], by: str, reason: str
) -> Acted:
    listed = json.dumps(list(ids))
    found = connection.execute(_KINDS_OF, {"ids": listed})
    rows = connection.execute(
        text(statement),
        {
            "ids": listed,
            "late_after": json.dumps(_late_after([row[0] for row in found])),
            "allow_list": allow_list(),
            "event": event,
            "by": by,
            "reason": reason,
        },
    ).mappings()
    changed, left = [], []
    for row in rows:
        if row["changed"]:
            changed.append(row["id"])
        else:
            left.append(Left(row["id"], row["state"], _why(row, event)))
    return Acted(tuple(changed), tuple(left))


def _late_after(names: Sequence[str]) -> dict[str, str]:
    """How long a message of each kind is still useful, as intervals; unknown kinds are left out."""
    known = {}
    for name in names:
        try:
            known[name] = f"{kinds.load(name).late_after.total_seconds()} seconds"
        except NotFound:
            continue
    return known


def _why(row: Mapping[Any, Any], event: str) -> str:
    state, hold = row["state"], row["hold_reason"]
    if state is None:
        return "aucun message ne porte ce numéro"
    if event == "released" and hold in RELEASABLE:
        return "l'étape n'est pas en service et son destinataire n'est pas dans ALLOW_LIST"
    if event == "resent" and row["key_free"]:
        return "sa relance a été reprise : un autre message la remplace"
    if event == "resent" and state in ("uncertain", "refused"):
        return f"genre de message inconnu : {row['kind']}"
    if state == "held":
        return f"il est retenu ({HOLDS.get(hold, hold)})"
    return "il est clos : trop tard" if state == "expired" else f"il est {STATES[state]}"


def needed(reason: str) -> str:
    """The reason, which must not be blank. Raises `BadRequest`."""
    if not reason.strip():
        raise BadRequest("Donnez la raison : un collègue la lira.")
    return reason
