"""Conversations: which e-mail answers which, in one mailbox, in whatever order they are read.

An e-mail that is read before the one it refers to joins it later: whatever refers to what has just
been read is looked at again, with the conversations that it was in.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.inbox import forest
from chalicelib.domain.inbox.forest import MOST_COPIES, Node
from chalicelib.domain.inbox.mails import MOST_REFERENCES, Mail, Mailbox, cited

# An answer without references belongs to an e-mail of that subject that is not older.
HINT = timedelta(days=14)

_IDS = "SELECT value FROM jsonb_array_elements_text(CAST(:message_ids AS jsonb))"
_HOLDERS = text(f"""
SELECT c.value AS message_id, e.id, e.thread_id
  FROM ({_IDS}) c
 CROSS JOIN LATERAL (
   SELECT h.id, h.thread_id FROM ponctuel.emails h
    WHERE h.mailbox_id = :mailbox_id AND h.message_id = c.value AND h.has_message_id
      AND h.settled_at IS NOT NULL
    LIMIT {MOST_COPIES + 1}) e
""")
_CITING = text(f"""
SELECT e.id, e.message_id, e.thread_id, e.in_reply_to,
       e.refs[greatest(1, cardinality(e.refs) - {MOST_REFERENCES - 1}):] AS refs
  FROM ponctuel.emails e
 WHERE e.mailbox_id = :mailbox_id AND e.settled_at IS NOT NULL
   AND (e.refs && ARRAY({_IDS}) OR e.in_reply_to = ANY (ARRAY({_IDS})))
""")
_MEMBERS = text("""
SELECT e.id, e.parent_id, e.thread_id, CASE WHEN e.has_message_id THEN e.message_id END
         AS message_id
  FROM ponctuel.emails e
 WHERE e.mailbox_id = :mailbox_id AND e.thread_id = ANY (ARRAY(
         SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:threads AS jsonb))))
   AND e.settled_at IS NOT NULL
""")
_HINTS = text(f"""
SELECT a.id, p.id AS parent_id, p.thread_id, p.sent_at
  FROM jsonb_to_recordset(CAST(:asked AS jsonb))
    AS a(id bigint, correspondent text, subject_key text, sent_at timestamptz)
 CROSS JOIN LATERAL (
   SELECT e.id, e.thread_id, e.sent_at FROM ponctuel.emails e
    WHERE e.mailbox_id = :mailbox_id AND e.correspondent = a.correspondent
      AND e.subject_key = a.subject_key AND e.subject_key <> '' AND e.settled_at IS NOT NULL
      AND e.sent_at <= a.sent_at AND e.sent_at >= a.sent_at - interval '{HINT.days} days'
    ORDER BY e.sent_at DESC, e.id DESC LIMIT 1) p
""")
_MOVE = text("""
UPDATE ponctuel.emails e SET thread_id = n.thread_id, parent_id = n.parent_id
  FROM jsonb_to_recordset(CAST(:moved AS jsonb)) AS n(id bigint, thread_id bigint, parent_id bigint)
 WHERE e.id = n.id AND e.mailbox_id = :mailbox_id
""")


@dataclass(frozen=True)
class Place:
    """Where an e-mail is: what it answers, and the first e-mail of its conversation."""

    thread_id: int
    parent_id: int | None


@dataclass
class _Known:
    """What has been looked up: who has an id, and the threads of those that are settled."""

    holders: dict[str, list[int]]
    threads: dict[int, int]


def place(connection: Connection, box: Mailbox, batch: Sequence[Mail]) -> dict[int, Place]:
    """The places of these e-mails. Moves those that were settled before, where these change their
    conversation."""
    own = sorted({mail.message_id for mail in batch if mail.has_message_id})
    citing = _citing(connection, box, own)
    ids = {*own, *(id for mail in batch for id in mail.cited)}
    ids.update(id for row in citing for id in row["cited"])
    known = _holders(connection, box, batch, ids)
    parents = {mail.id: forest.parent(mail.cited, known.holders) for mail in batch}
    parents |= _hints(connection, box, batch, parents, known)
    children = {row["id"]: forest.parent(row["cited"], known.holders) for row in citing}
    met = [*parents.values(), *children.values(), *(id for one in own for id in known.holders[one])]
    touched = {known.threads[id] for id in met if id is not None and id in known.threads}
    members = _members(connection, box, touched | {row["thread_id"] for row in citing})
    nodes = [
        *(
            Node(mail.id, mail.message_id if mail.has_message_id else None, parents[mail.id])
            for mail in batch
        ),
        *(
            Node(id, row["message_id"], children.get(id, row["parent_id"]))
            for id, row in members.items()
        ),
    ]
    found = forest.threads(nodes, _copies(connection, box, nodes, known))
    _move(connection, box, nodes, members, found)
    return {mail.id: Place(found[mail.id], parents[mail.id]) for mail in batch}


def _citing(connection: Connection, box: Mailbox, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Those settled before that refer to these ids, with all that they refer to."""
    if not ids:
        return []
    rows = connection.execute(_CITING, {"mailbox_id": box.id, "message_ids": json.dumps(ids)})
    return [
        {
            "id": row.id,
            "thread_id": row.thread_id,
            "cited": cited(row.refs or (), row.in_reply_to, row.message_id),
        }
        for row in rows
    ]


def _holders(
    connection: Connection, box: Mailbox, batch: Sequence[Mail], ids: Iterable[str]
) -> _Known:
    known = _Known(defaultdict(list), {})
    wanted = sorted(ids)
    if wanted:
        values = {"mailbox_id": box.id, "message_ids": json.dumps(wanted)}
        for row in connection.execute(_HOLDERS, values):
            known.holders[row.message_id].append(row.id)
            known.threads[row.id] = row.thread_id
    for mail in batch:
        if mail.has_message_id:
            known.holders[mail.message_id].append(mail.id)
    return known


def _hints(
    connection: Connection,
    box: Mailbox,
    batch: Sequence[Mail],
    parents: Mapping[int, int | None],
    known: _Known,
) -> dict[int, int]:
    """For answers that refer to nothing that is there: the latest e-mail before them of that
    subject and correspondent, settled or of the batch."""
    asked = {
        mail.id: (mail, mail.sent_at)
        for mail in batch
        if parents[mail.id] is None and mail.is_answer and mail.subject_key and mail.correspondent
        if mail.sent_at is not None
    }
    if not asked:
        return {}
    rows = [
        {
            "id": mail.id,
            "correspondent": mail.correspondent,
            "subject_key": mail.subject_key,
            "sent_at": sent_at.isoformat(),
        }
        for mail, sent_at in asked.values()
    ]
    values = {"mailbox_id": box.id, "asked": json.dumps(rows)}
    earlier: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for row in connection.execute(_HINTS, values):
        earlier[row.id].append((row.sent_at, row.parent_id))
        known.threads[row.parent_id] = row.thread_id
    alike: dict[tuple[str, str], list[tuple[datetime, int]]] = defaultdict(list)
    for mail in batch:
        if mail.sent_at is not None:
            alike[mail.correspondent, mail.subject_key].append((mail.sent_at, mail.id))
    for mail, sent_at in asked.values():
        earlier[mail.id] += [
            other
            for other in alike[mail.correspondent, mail.subject_key]
            if other < (sent_at, mail.id) and other[0] >= sent_at - HINT
        ]
    return {id: max(found)[1] for id, found in earlier.items() if found}


def _members(
    connection: Connection, box: Mailbox, threads: Iterable[int]
) -> dict[int, Mapping[str, Any]]:
    wanted = sorted(threads)
    if not wanted:
        return {}
    values = {"mailbox_id": box.id, "threads": json.dumps(wanted)}
    return {row["id"]: dict(row) for row in connection.execute(_MEMBERS, values).mappings()}


def _copies(
    connection: Connection, box: Mailbox, nodes: Sequence[Node], known: _Known
) -> dict[str, list[int]]:
    """Who has each id that more than one of these e-mails has."""
    alike: dict[str, list[int]] = defaultdict(list)
    for node in nodes:
        if node.message_id is not None:
            alike[node.message_id].append(node.id)
    found = {id: holders for id, holders in alike.items() if len(holders) > 1}
    unknown = sorted(found.keys() - known.holders.keys())
    if unknown:
        found |= _holders(connection, box, (), unknown).holders
    return {id: list(known.holders.get(id) or found[id]) for id in found}


def _move(
    connection: Connection,
    box: Mailbox,
    nodes: Sequence[Node],
    members: Mapping[int, Mapping[str, Any]],
    found: Mapping[int, int],
) -> None:
    moved = [
        {"id": node.id, "thread_id": found[node.id], "parent_id": node.parent_id}
        for node in nodes
        if node.id in members
        and (members[node.id]["thread_id"], members[node.id]["parent_id"])
        != (found[node.id], node.parent_id)
    ]
    if moved:
        connection.execute(_MOVE, {"mailbox_id": box.id, "moved": json.dumps(moved)})
