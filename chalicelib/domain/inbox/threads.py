"""Conversations: which e-mail answers which, in one mailbox, in whatever order they are read.

An e-mail that is read before the one it refers to joins it later: whatever refers to what has just
been read is looked at again, with the conversations that it was in.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.inbox import forest
from chalicelib.domain.inbox.forest import MOST_COPIES, Node
from chalicelib.domain.inbox.mails import MOST_REFERENCES, Mail, Mailbox, cited
from chalicelib.mailboxes.parameters import MAILBOX

# An answer without references belongs to an e-mail of that subject that is not older.
HINT = timedelta(days=14)

_IDS = "SELECT value FROM jsonb_array_elements_text(CAST(:message_ids AS jsonb))"
_HOLDERS = text(f"""
SELECT c.value AS message_id, e.id, e.thread_id
  FROM ({_IDS}) c
 CROSS JOIN LATERAL (
   SELECT h.id, h.thread_id FROM ponctuel.emails h
    WHERE h.mailbox_id = {MAILBOX} AND h.message_id = c.value AND h.has_message_id
      AND h.settled_at IS NOT NULL
    LIMIT {MOST_COPIES + 1}) e
""")
_CITED = f"""e.id, e.message_id, e.thread_id, e.in_reply_to,
       to_jsonb(e.refs[greatest(1, cardinality(e.refs) - {MOST_REFERENCES - 1}):]) AS refs"""
# What is awaited comes once.
_AWAITING = text(f"""
WITH came AS (
  DELETE FROM ponctuel.email_awaits WHERE mailbox_id = {MAILBOX} AND message_id IN ({_IDS})
  RETURNING email_id
)
SELECT {_CITED} FROM ponctuel.emails e
 WHERE e.id IN (SELECT email_id FROM came) AND e.settled_at IS NOT NULL
""")
_ANSWERING = text(f"""
SELECT {_CITED} FROM ponctuel.emails e
 WHERE e.mailbox_id = {MAILBOX} AND e.settled_at IS NOT NULL
   AND e.thread_id = ANY (ARRAY(
         SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:threads AS jsonb))))
   AND e.parent_id IN (
         SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")
_AWAIT = text("""
INSERT INTO ponctuel.email_awaits (mailbox_id, message_id, email_id)
SELECT :mailbox_id, n.message_id, n.email_id
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n(message_id text, email_id bigint)
    ON CONFLICT DO NOTHING
""")
_MEMBERS = text(f"""
SELECT e.id, e.parent_id, e.thread_id, CASE WHEN e.has_message_id THEN e.message_id END
         AS message_id
  FROM ponctuel.emails e
 WHERE e.mailbox_id = {MAILBOX} AND e.thread_id = ANY (ARRAY(
         SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:threads AS jsonb))))
   AND e.settled_at IS NOT NULL
""")
_HINTS = text(f"""
SELECT a.id, p.id AS parent_id, p.thread_id, p.sent_at
  FROM jsonb_to_recordset(CAST(:asked AS jsonb))
    AS a(id bigint, correspondent text, subject_key text, sent_at timestamptz)
 CROSS JOIN LATERAL (
   SELECT e.id, e.thread_id, e.sent_at FROM ponctuel.emails e
    WHERE e.mailbox_id = {MAILBOX} AND e.correspondent = a.correspondent
      AND e.subject_key = a.subject_key AND e.subject_key <> '' AND e.settled_at IS NOT NULL
      AND e.sent_at <= a.sent_at AND e.sent_at >= a.sent_at - interval '{HINT.days} days'
    ORDER BY e.sent_at DESC, e.id DESC LIMIT 1) p
""")
_MOVE = text(f"""
UPDATE ponctuel.emails e SET thread_id = n.thread_id, parent_id = n.parent_id
  FROM jsonb_to_recordset(CAST(:moved AS jsonb)) AS n(id bigint, thread_id bigint, parent_id bigint)
 WHERE e.id = n.id AND e.mailbox_id = {MAILBOX}
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
    known = _Known(defaultdict(list), {})
    _look_up(connection, box, batch, own, known)
    again = _again(connection, box, own, known)
    cited = {id for one in (*(mail.cited for mail in batch), *again.values()) for id in one}
    _look_up(connection, box, (), cited - set(own), known)
    parents = {mail.id: forest.parent(mail.cited, known.holders) for mail in batch}
    children = {id: forest.parent(ids, known.holders) for id, ids in again.items()}
    _await(connection, box, batch, parents, known)
    parents |= _hints(connection, box, batch, parents, known)
    met = [*parents.values(), *children, *children.values()]
    met += [id for one in own for id in known.holders[one]]
    touched = {known.threads[id] for id in met if id is not None and id in known.threads}
    members = _members(connection, box, touched)
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


def _look_up(
    connection: Connection,
    box: Mailbox,
    batch: Sequence[Mail],
    ids: Collection[str],
    known: _Known,
) -> None:
    """Adds who has these ids: settled e-mails, and those of the batch."""
    if ids:
        values = {"mailbox_id": box.id, "message_ids": json.dumps(sorted(ids))}
        for row in connection.execute(_HOLDERS, values):
            known.holders[row.message_id].append(row.id)
            known.threads[row.id] = row.thread_id
    for mail in batch:
        if mail.has_message_id:
            known.holders[mail.message_id].append(mail.id)


def _again(
    connection: Connection, box: Mailbox, own: Sequence[str], known: _Known
) -> dict[int, Sequence[str]]:
    """Those settled before whose parent may be another now, with all that they refer to: they await
    an id that has come, or answer one that has got too many copies."""
    if not own:
        return {}
    values: dict[str, Any] = {"mailbox_id": box.id, "message_ids": json.dumps(own)}
    rows = list(connection.execute(_AWAITING, values))
    crowd = [
        id
        for one in own
        if len(known.holders[one]) > MOST_COPIES
        for id in known.holders[one]
        if id in known.threads
    ]
    if crowd:
        threads = sorted({known.threads[id] for id in crowd})
        values = {"mailbox_id": box.id, "ids": json.dumps(crowd), "threads": json.dumps(threads)}
        rows += connection.execute(_ANSWERING, values)
    known.threads.update({row.id: row.thread_id for row in rows})
    return {row.id: cited(row.refs or (), row.in_reply_to, row.message_id) for row in rows}


def _await(
    connection: Connection,
    box: Mailbox,
    batch: Sequence[Mail],
    parents: Mapping[int, int | None],
    known: _Known,
) -> None:
    """Notes what each of them would rather answer, should it come."""
    rows = [
        {"message_id": id, "email_id": mail.id}
        for mail in batch
        for id in takewhile(
            lambda id, parent=parents[mail.id]: parent not in known.holders.get(id, ()),  # type: ignore[misc]
            mail.cited,
        )
    ]
    if rows:
        connection.execute(_AWAIT, {"mailbox_id": box.id, "rows": json.dumps(rows)})


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
    shared = {id for id, holders in alike.items() if len(holders) > 1}
    _look_up(connection, box, (), shared - known.holders.keys(), known)
    return {id: known.holders[id] for id in shared}


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
