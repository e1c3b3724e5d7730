"""Statements of a first sync, as PostgreSQL plans them when its statistics are of other mailboxes:
none reads the whole mailbox for each e-mail that it looks up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, TextClause, text

from chalicelib.domain.inbox import threads
from chalicelib.mailboxes import folder_rows, places
from tests.domain.inbox.world import World

MAILS, ASKED = 3000, 250
# Of a statement that looks up `ASKED`, some times over; reading all for each is 750,000.
MOST_PASSED_OVER = 20_000

_FILL = text("""
WITH folder AS (
  INSERT INTO ponctuel.mailbox_folders (mailbox_id, path, uidvalidity)
  VALUES (:id, 'INBOX', :uidvalidity) RETURNING id
), stored AS (
  INSERT INTO ponctuel.emails (business_id, mailbox_id, message_id, has_message_id, sha256,
         header_sha256, size, listed_size, state, attempts, thread_id, settled_at, created_at)
  SELECT 'B1', :id, n || '@example.fr', true, sha256(n::text::bytea), sha256(n::text::bytea),
         1000 + n, 1000 + n, 'parsed', 1, 1, ponctuel.clock(), ponctuel.clock()
    FROM generate_series(1, :mails) AS n
  RETURNING id, listed_size - 1000 AS uid
)
INSERT INTO ponctuel.email_places (folder_id, uidvalidity, uid, email_id, flags)
SELECT folder.id, :uidvalidity, stored.uid, stored.id, '{}' FROM folder, stored
RETURNING folder_id
""")


@pytest.fixture
def unknown(world: World) -> Iterator[tuple[Connection, dict[str, Any]]]:
    """A mailbox that statistics know nothing of, and what statements are told of it."""
    known, fresh = world.add(143, "avant"), world.add(143)
    with world.database.begin() as connection:
        connection.execute(_FILL, {"id": known, "uidvalidity": 1, "mails": MAILS})
        connection.exec_driver_sql("ANALYZE ponctuel.emails")
        connection.exec_driver_sql("ANALYZE ponctuel.email_places")
    with world.database.begin() as connection:
        found = connection.execute(_FILL, {"id": fresh, "uidvalidity": 2, "mails": MAILS})
        folder = found.scalars().first()
    with world.database.begin() as connection:
        yield (
            connection,
            {"mailbox_id": fresh, "folder_id": folder, "uidvalidity": 2, "business_id": "B1"},
        )


def passed_over(connection: Connection, statement: TextClause, values: Mapping[str, Any]) -> int:
    """How many rows it read and had no use for."""
    explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}")
    (plan,) = connection.execute(explained, values).scalar_one()
    return _passed_over(plan["Plan"])


def _passed_over(node: Mapping[str, Any]) -> int:
    own = sum(count for name, count in node.items() if name.startswith("Rows Removed by"))
    return int(own * node["Actual Loops"]) + sum(map(_passed_over, node.get("Plans", ())))


def asked(**more: Any) -> list[dict[str, Any]]:
    return [{"uid": n, **more} for n in range(1, ASKED + 1)]


@pytest.mark.parametrize(
    "statement", ["holders", "members", "keep", "sizes", "compare", "flags", "settled"]
)
def test_it_reads_what_it_looks_up(
    unknown: tuple[Connection, dict[str, Any]], statement: str
) -> None:
    connection, values = unknown
    ids = [f"{n}@example.fr" for n in range(1, ASKED + 1)]
    rows = [{**row, "message_id": id} for row, id in zip(asked(), ids, strict=True)]
    statements: dict[str, tuple[TextClause, dict[str, Any]]] = {
        "holders": (threads._HOLDERS, {"message_ids": ids}),
        "members": (threads._MEMBERS, {"threads": [-1]}),
        "keep": (
            places._KEEP,
            {
                "rows": [
                    {**row, "sha256": "00", "has_message_id": True, "header_sha256": "00",
                     "size": 1, "state": "pending", "flags": []}
                    for row in rows
                ],
                "direction": "in",
                "last_uid": 0,
            },
        ),
        "sizes": (places._OF_SIZES, {"asked": [{"size": 1000 + n} for n in range(ASKED)]}),
        "compare": (
            places._COMPARE,
            {"server": [{"uid": n} for n in range(1, MAILS)], "last_uid": MAILS},
        ),
        "settled": (
            folder_rows._SETTLED,
            {"exists": MAILS, "uidnext": 1, "modseq": 1, "checked": True, "reset": True},
        ),
        "flags": (places._FLAGS, {"flags": asked(flags=["\\Seen"])}),
    }  # fmt: skip
    chosen, more = statements[statement]
    told = {name: json.dumps(v) if isinstance(v, list) else v for name, v in more.items()}
    assert passed_over(connection, chosen, values | told) < MOST_PASSED_OVER
