"""What an operator does with messages: release, cancel, settle what is uncertain.

Every action is one statement that checks the state it acts on, so it can neither race with delivery
nor be applied twice; what it leaves alone is named with the reason. Each change records an event
with who did it and why; before it, one with how the attempt ended that it overrules.

A message that is resent forgets its provider's id: the second attempt will have its own, and an
event with the first one's is about an attempt that was given up. Such an event comes in by our
reference, which stays the same, and is taken at any time. Before the second attempt leaves, it is
why there is none: the first was accepted after all, or it failed for a reason that nobody knew when
the second was asked for, and somebody decides again. Once the second has left, the more fortunate
of the two counts (`webhooks.standing`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
    "unsubscribe": "pas de lien de désinscription",
    "template": "modèle manquant ou en échec",
    "guard": "vérification en échec",
    "unknown_kind": "genre de message inconnu de cette version",
    "approval": "volume inhabituel, à approuver",
    "review": "en revue avant la mise en service",
    "stage": "étape pas en service",
    "quarantine": "mis de côté : il a interrompu l'envoi plusieurs fois",
    "quiet": "trop tôt ou trop tard chez le destinataire",
    "cap": "le destinataire a reçu assez de messages",
    "quota": "quota d'envoi atteint",
    "number": "numéro de téléphone inutilisable",
    "restored": "base restaurée : à vérifier avant de partir",
}
# Holds that only an operator lifts. Nobody lifts the recipient's night or fill: they end by
# themselves, like everything that is not here.
RELEASABLE = ("review", "approval", "stage", "quarantine", "restored")
# What `release` of a whole kind takes: what killed a process is looked at one by one.
RELEASED_BY_KIND = ("review", "approval", "stage", "restored")

# Attempts that ended badly, or nobody knows how.
RESENDABLE = ("uncertain", "refused", "failed")


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(f"'{code}'" for code in codes)


_ACT = """
WITH asked AS (
  SELECT DISTINCT CAST(value AS bigint) AS id
    FROM jsonb_array_elements_text(CAST(:ids AS jsonb))
), late AS (
  SELECT key AS kind, CAST(value AS interval) AS late_after
    FROM jsonb_each_text(CAST(:late_after AS jsonb))
), locked AS (
  SELECT m.id, m.kind, m.state, m.hold_reason, m.key_free, m.provider, m.provider_id, m.error,
         m.settled_at, {may_leave} AS may_leave
    FROM ponctuel.messages m WHERE m.id IN (SELECT id FROM asked) FOR UPDATE OF m
), changed AS (
  UPDATE ponctuel.messages m SET {change}
    FROM locked LEFT JOIN late USING (kind) WHERE m.id = locked.id AND ({allowed})
  RETURNING m.id
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, at, event, actor, reason FROM (
    SELECT id, COALESCE(locked.settled_at, ponctuel.clock()) AS at, locked.state AS event,
           COALESCE(locked.provider, '') AS actor,
           concat_ws(' ', locked.error, '(' || locked.provider_id || ')') AS reason, 1 AS nth
      FROM changed JOIN locked USING (id) WHERE locked.state IN ({ended})
     UNION ALL
    SELECT id, ponctuel.clock(), CAST(:event AS text), CAST(:by AS text), CAST(:reason AS text), 2
      FROM changed
  ) told ORDER BY id, nth
  RETURNING 1
)
SELECT asked.id, locked.kind, locked.state, locked.hold_reason, locked.key_free, locked.may_leave,
       changed.id IS NOT NULL AS changed, (SELECT count(*) FROM recorded) AS recorded
  FROM asked LEFT JOIN locked USING (id) LEFT JOIN changed USING (id) ORDER BY asked.id
""".replace(
    "{may_leave}",
    "EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*' AND kind = '*') OR "
    + ALLOWED.format(recipient="m.recipient"),
).replace("{ended}", _listed(RESENDABLE))

_RELEASE = _ACT.format(
    change="state = 'planned', hold_reason = NULL, claims = 0",
    allowed=f"locked.state = 'held' AND locked.hold_reason IN ({_listed(RELEASABLE)})"
    " AND locked.may_leave",
)
# A claimed message is not submitted yet: its claimer finds it gone, and it no longer counts for
# anybody's quota.
_CANCEL = _ACT.format(
    change="state = 'cancelled', hold_reason = NULL, settled_at = ponctuel.clock(),"
    " error_code = 'cancelled_by_operator', error = NULL, counted_at = NULL",
    allowed="locked.state IN ('planned', 'held', 'claimed')",
)
_ARRIVED = _ACT.format(
    change="state = 'accepted', settled_at = ponctuel.clock(), error_code = NULL, error = NULL,"
    " proof_at = NULL, hold_reason = NULL",
    allowed="locked.state = 'uncertain'"
    " OR (locked.state = 'held' AND locked.hold_reason IN ('restored', 'review'))",
)
# The limit counts anew: the operator knows how late it is.
_RESEND = _ACT.format(
    change="state = 'planned', not_before = ponctuel.clock(), attempts = 0, claims = 0,"
    " claim_id = NULL, settled_at = NULL, error_code = NULL, error = NULL, counted_at = NULL,"
    " proof_at = NULL, proofs = 0, provider_id = NULL,"
    " expires_at = greatest(m.expires_at, ponctuel.clock() + late.late_after)",
    allowed=f"locked.state IN ({_listed(RESENDABLE)}) AND NOT locked.key_free"
    " AND late.late_after IS NOT NULL",
)

_HELD_OF_KIND = text(f"""
SELECT id FROM ponctuel.messages
 WHERE business_id = :business_id AND kind = :kind AND state = 'held'
   AND hold_reason IN ({_listed(RELEASED_BY_KIND)}) ORDER BY id
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
    """held (`RELEASABLE`) → planned. While the stage is not live, only what
    goes to the allow-list."""
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
    """uncertain, refused or failed → planned, with its attempts and its lateness counted anew. Its
    guard is asked again; a message whose key was freed is left, because another may have taken its
    place."""
    return _act(connection, _RESEND, "resent", ids, by, needed(reason))


ACTS: Mapping[str, Callable[..., Acted]] = {
    "release": release,
    "cancel": cancel,
    "resend": resend,
    "arrived": arrived,
}


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
    if event == "resent" and state in RESENDABLE:
        return f"genre de message inconnu : {row['kind']}"
    if state == "held":
        return f"il est retenu ({HOLDS.get(hold, hold)})"
    return "il est clos : trop tard" if state == "expired" else f"il est {STATES[state]}"


def needed(reason: str) -> str:
    """The reason, which must not be blank. Raises `BadRequest`."""
    if not reason.strip():
        raise BadRequest("Donnez la raison : un collègue la lira.")
    return reason
