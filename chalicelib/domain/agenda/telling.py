"""Telling: a row in the application's notifications, an e-mail where it is wanted, and a note in
the ledger that it was done. All three in one transaction.

The ledger's note, not the application's row, is what keeps it from being told twice: whoever reads
a notification may delete it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.db.refusals import unless_refused
from chalicelib.domain.agenda.appointments import REMINDER
from chalicelib.domain.agenda.subjects import Subjects
from chalicelib.domain.people import notifications
from chalicelib.outbox.plan import Plan
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

NOTICE = "agenda.notice"
LATE_AFTER = timedelta(days=2)

# All that a user is told of in one run and step is one e-mail.
_NOTICE = """to_char(CAST(:now AS timestamptz) AT TIME ZONE 'UTC',
               'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""

# Both from the candidates, and not one from the other: PostgreSQL would join them row by row. The
# lease keeps others from telling meanwhile.
_TELL = """
WITH batch AS ({batch}), candidates AS MATERIALIZED ({candidates}){shown}
INSERT INTO ponctuel.agenda_told
       (business_id, kind, subject, cycle, user_id, notice, at, told_at)
SELECT business_id, '{kind}', subject, cycle, user_id,
       CASE WHEN email IS NOT NULL THEN {notice} END, at, ponctuel.clock()
  FROM candidates
    ON CONFLICT (business_id, kind, subject, cycle, user_id)
    DO UPDATE SET resolved_at = NULL, notice = excluded.notice, at = excluded.at
"""
# The id can be told from what it is about, and is a UUID to whoever wants one.
_ROWS = """SELECT c.business_id, {id} AS id, c.user_id, '{kind}' AS kind, c.subject, c.cycle,
          c.title, c.body, c.link, c.at AS created_at
     FROM candidates c"""
_AGAIN = """, again AS (
  UPDATE ponctuel.notifications SET resolved_at = NULL
   WHERE (business_id, id) IN (SELECT c.business_id, {id} FROM candidates c)
)"""


def notification_id(kind: str, row: str) -> str:
    """The SQL of a notification's id. `kind`: SQL too; `row`: has subject, cycle and user_id."""
    return f"md5(concat_ws('|', {kind}, {row}.subject, {row}.cycle, {row}.user_id))"


# One message per user for what was told in this batch; per appointment and offset for reminders.
_NOTICES = """
SELECT business_id, '{message}' AS kind, user_id AS subject, {notice} || '/{kind}' AS cycle,
       '' AS step, 'email' AS channel, 'user:' || user_id AS person, min(email) AS recipient,
       CAST('{{}}' AS jsonb) AS content, CAST(:now AS timestamptz) AS not_before,
       CAST(:now AS timestamptz) + interval '{days} days' AS expires_at,
       CAST(NULL AS jsonb) AS lines, CAST(NULL AS text) AS order_key
  FROM ({told}) t WHERE email IS NOT NULL GROUP BY business_id, user_id
"""
_REMINDERS = """
SELECT business_id, '{message}' AS kind, subject, cycle, user_id AS step, 'email' AS channel,
       'user:' || user_id AS person, email AS recipient, CAST('{{}}' AS jsonb) AS content,
       at AS not_before, greatest(at + interval '5 minutes', least(starts_at, until)) AS expires_at,
       CAST(NULL AS jsonb) AS lines, CAST(NULL AS text) AS order_key
  FROM ({told}) t WHERE email IS NOT NULL
"""


@dataclass(frozen=True)
class Tell:
    """The effect of a step that tells users of `subjects`; `message`: the kind of its e-mails."""

    subjects: Subjects
    message: str = NOTICE

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        # Planned from the same rows: what is told is no longer among the candidates afterwards.
        planned = Plan(select=self._messages()).apply(run, connection, batch)
        errors: list[ItemError] = []
        told = unless_refused(
            connection,
            lambda: self._tell(connection, batch, self._show()),
            "notifications",
            run_id=str(run.id),
        )
        if told is None:
            told = self._tell(connection, batch, "")
            errors.append(notifications.not_written())
        return Outcome({"told": told, **planned.counts}, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        messages = Plan(select=self._messages()).preview(run, connection, batch).messages
        rows = connection.execute(
            text(f"WITH batch AS ({batch.cte}) {self._candidates()}"), batch.parameters
        ).mappings()
        return Preview(changes=[_shown(row) for row in rows], messages=messages)

    def _show(self) -> str:
        # An appointment that was cancelled and is set back, or moved away and back, has its row.
        known = self.message == REMINDER
        shown = notifications.insertion(_ROWS, unless_shown=known)
        return f", shown AS ({shown})" + (_AGAIN if known else "")

    def _candidates(self) -> str:
        # Somebody's view may have a user twice.
        return (
            "SELECT DISTINCT ON (business_id, subject, cycle, user_id) * "
            f"FROM ({self.subjects.of_batch()}) candidates"
        )

    def _messages(self) -> str:
        template = _REMINDERS if self.message == REMINDER else _NOTICES
        return template.format(
            message=self.message,
            kind=self.subjects.kind,
            notice=_NOTICE,
            days=LATE_AFTER.days,
            told=self.subjects.of_batch(),
        )

    def _tell(self, connection: Connection, batch: Batch, shown: str) -> int:
        parts = {
            "{shown}": shown,
            "{batch}": batch.cte,
            "{candidates}": self._candidates(),
            "{notice}": _NOTICE,
            "{id}": notification_id(f"'{self.subjects.kind}'", "c"),
            "{kind}": self.subjects.kind,
        }
        statement = _TELL
        for name, value in parts.items():
            statement = statement.replace(name, value)
        return max(connection.execute(text(statement), batch.parameters).rowcount, 0)


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "change": "told",
        "business_id": row["business_id"],
        "subject": row["subject"],
        "user": row["user_id"],
        "title": row["title"],
    }
