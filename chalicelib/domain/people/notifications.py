"""What the application shows its users: rows of `notifications`, written and resolved.

The relation may be somebody's view, which may take no writes: nobody's e-mail, answer or tap
depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.db.refusals import unless_refused
from chalicelib.runner.change import Change, Tolerated
from chalicelib.runner.job import ItemError

NOT_WRITABLE = (
    "Les notifications n'ont pas pu être écrites : vérifiez les droits sur "
    "ponctuel.notifications avec `./ponctuel check`. Les e-mails partent."
)
NOT_RESOLVED = (
    "Les notifications réglées n'ont pas pu être marquées : vérifiez les droits sur "
    "ponctuel.notifications avec `./ponctuel check`."
)


def insertion(rows: str, *, unless_shown: bool) -> str:
    """The INSERT of what `rows` yields: SQL, with `business_id`, `id`, `user_id`, `kind`,
    `subject`, `cycle`, `title`, `body`, `link` and `created_at`. `unless_shown`: without those that
    have a row already."""
    shown = """
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.notifications n
                    WHERE n.business_id = r.business_id AND n.id = r.id)"""
    return f"""INSERT INTO ponctuel.notifications
       (business_id, id, user_id, kind, subject, cycle, title, body, link, created_at)
SELECT r.business_id, r.id, r.user_id, r.kind, r.subject, r.cycle, r.title, r.body, r.link,
       r.created_at
  FROM ({rows}) r{shown if unless_shown else ""}"""


def resolution(where: str) -> str:
    """The UPDATE that resolves those of which the SQL `where` holds."""
    return f"""UPDATE ponctuel.notifications SET resolved_at = ponctuel.clock()
 WHERE resolved_at IS NULL AND {where}"""


def resolving(where: str, *, counted_as: str) -> Tolerated:
    """The effect of a step that resolves them; `where` may read its CTE `batch`."""
    return Tolerated(Change(write=resolution(where), counted_as=counted_as), NOT_RESOLVED)


def not_written() -> ItemError:
    """What a run says of notifications that it could not write."""
    return ItemError("", "notifications", "not_writable", NOT_WRITABLE)


@dataclass(frozen=True)
class Notification:
    """`link`: an address or a path, None where it leads nowhere."""

    business_id: str
    id: str
    user_id: str
    kind: str
    subject: str
    cycle: str
    title: str = field(repr=False)
    link: str | None = field(default=None, repr=False)


_SHOW = text(
    insertion(
        """SELECT t.*, '' AS body, ponctuel.clock() AS created_at
     FROM jsonb_to_recordset(CAST(:shown AS jsonb))
       AS t(business_id text, id text, user_id text, kind text, subject text, cycle text,
            title text, link text)""",
        unless_shown=True,
    )
)


def show(connection: Connection, shown: Sequence[Notification]) -> bool:
    """Shows each, once. False where the relation takes no writes."""
    values = {"shown": json.dumps([asdict(one) for one in shown])}
    return _written(connection, _SHOW, values) is not None


def resolve(connection: Connection, where: str, values: Mapping[str, Any]) -> int:
    """Resolves those of which the SQL `where` holds. Returns how many; none where the relation
    takes no writes."""
    return _written(connection, text(resolution(where)), values) or 0


def _written(connection: Connection, statement: Any, values: Mapping[str, Any]) -> int | None:
    def write() -> int:
        return max(connection.execute(statement, values).rowcount, 0)

    return unless_refused(connection, write, "notifications")
