"""What there is to tell, as SQL: each yields what it is about and to whom it is told.

Columns: business_id, subject (its id), cycle (which time: a moved date is told of again), user_id,
email (null: not by e-mail), title, body, link, at (when it is to be seen). A subject that was told
for its cycle is not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.domain.agenda.people import PEOPLE

INVOICE = "agenda.invoice_overdue"
TASK = "agenda.task_overdue"
ESCALATION = "agenda.task_escalated"

# A critical task that is overdue for a day is told to those who answer for the business, and again
# every three days, for a month: after that nobody reads it.
ESCALATED_AFTER = timedelta(days=1)
ESCALATED_EVERY = timedelta(days=3)
ESCALATIONS = 10

# What is older is told in the application alone: an e-mail about it is no news.
NEWS = timedelta(days=7)

NOW = "CAST(:now AS timestamptz)"
# No place's day is later than the one, or earlier than the other: what an index can be asked for.
LATEST_DAY = f"(({NOW} AT TIME ZONE 'UTC')::date + 1)"
EARLIEST_DAY = f"(({NOW} AT TIME ZONE 'UTC')::date - 1)"
_ISO = '\'YYYY-MM-DD"T"HH24:MI"Z"\''
_NBSP = "E'\\u00a0'"


def iso(instant: str) -> str:
    """The SQL of an instant as a part of a key."""
    return f"to_char({instant} AT TIME ZONE 'UTC', {_ISO})"


def instant(value: str) -> str:
    """The SQL of an instant that can be calculated with and shown: somebody's table may have
    `-infinity`, which is long ago, or `infinity`, which is never. Null stays null."""
    return _within(value, "timestamptz '1900-01-01Z'", "timestamptz '9000-01-01Z'")


def day(value: str) -> str:
    """The same of a date."""
    return _within(value, "date '1900-01-01'", "date '9000-01-01'")


def _within(value: str, least: str, most: str) -> str:
    return (
        f"(CASE WHEN {value} < {least} THEN {least} WHEN {value} > {most} THEN {most}"
        f" ELSE {value} END)"
    )


AMOUNT = f"""translate(to_char(i.balance, 'FM999,999,999,990.00'), ',.', {_NBSP} || ',')
         || {_NBSP} || CASE i.currency WHEN 'EUR' THEN '€' ELSE i.currency END"""

# What each is now, whoever was told of it: also what a guard and the resolving step ask.
INVOICE_CYCLE = "i.due_on::text || '/' || i.cycle"
# NaN is more than anything.
OWED = "i.balance > 0 AND i.balance < 'Infinity'"
INVOICE_IS_OVERDUE = f"i.status IN ('sent','partial','overdue') AND {OWED}"
_DUE_AT, _DUE_ON = instant("t.due_at"), day("t.due_on")
TASK_CYCLE = f"coalesce({iso(_DUE_AT)}, t.due_on::text)"


def _task_due(zone: str) -> str:
    # The end of the day counts where no hour is given.
    return f"coalesce({_DUE_AT}, ({_DUE_ON} + 1)::timestamp AT TIME ZONE {zone})"


def _due_day(zone: str) -> str:
    return f"to_char(coalesce(({_DUE_AT} AT TIME ZONE {zone})::date, {_DUE_ON}), 'DD/MM/YYYY')"


# By way of arrays, of which PostgreSQL expects ten items. Of a worklist that has just been written
# it expects one, and would read all people again for each of ten thousand.
_ITEMS_OF_BATCH = """SELECT of.business_id, of.item
  FROM (SELECT array_agg(business_id) AS businesses, array_agg(item) AS items FROM batch) b,
       unnest(b.businesses, b.items) AS of(business_id, item)"""


@dataclass(frozen=True)
class Subjects:
    """`found`: SELECT from `{people}`'s relations, restricted by `{only}`, with a column `at`.
    `key`: the id, as the restriction names it. `fresh`: whether it is still to be begun with, of a
    row `f`; `counts`: whether a row `d` of the ledger means that it was told."""

    kind: str
    key: str
    found: str
    fresh: str = "true"
    counts: str = "true"

    def items(self) -> str:
        """All that is to be told: (business_id, item)."""
        return f"SELECT DISTINCT s.business_id, s.subject AS item FROM ({self.told_of('')}) s"

    def of_batch(self) -> str:
        """What is to be told of the items of the CTE `batch`."""
        return self.told_of(f"AND {self.key} IN ({_ITEMS_OF_BATCH})")

    def told_of(self, only: str) -> str:
        found = self.found.replace("{only}", only)
        return f"""WITH {PEOPLE}, found AS ({found})
SELECT f.* FROM found f
 WHERE {self.fresh}
   AND NOT EXISTS (SELECT 1 FROM ponctuel.agenda_told d
                    WHERE d.business_id = f.business_id AND d.kind = '{self.kind}'
                      AND d.subject = f.subject AND d.cycle = f.cycle AND d.user_id = f.user_id
                      AND {self.counts})"""

    def still(self, only: str = "") -> str:
        """Of the ledger's rows in the CTE `asked`: those of which it is still so."""
        return f"""
SELECT a.*, f.title, f.body, f.email FROM asked a JOIN ({self.found.replace("{only}", only)}) f
    ON f.business_id = a.business_id AND f.subject = a.subject AND f.cycle = a.cycle
   AND f.user_id = a.user_id
 WHERE a.kind = '{self.kind}'"""


INVOICES = Subjects(
    INVOICE,
    "(i.business_id, i.id)",
    f"""
SELECT i.business_id, i.id AS subject, {INVOICE_CYCLE} AS cycle, o.user_id, o.zone,
       CASE WHEN o.by_email AND NOT o.digest
                 AND i.due_on >= b.today - {NEWS.days + 1} THEN o.email END AS email,
       'Facture ' || left(i.number, 60) || ' en retard' AS title,
       coalesce(left(c.name, 80) || '\u00a0: ', '') || {AMOUNT} || ' à régler depuis le '
         || to_char({day("i.due_on")}, 'DD/MM/YYYY') AS body,
       '/invoices/' || i.id AS link, {NOW} AS at
  FROM ponctuel.invoices i
  JOIN businesses_here b ON b.business_id = i.business_id
  JOIN owners o ON o.business_id = i.business_id
  LEFT JOIN ponctuel.customers c ON c.business_id = i.business_id AND c.id = i.customer_id
 WHERE {INVOICE_IS_OVERDUE} AND i.due_on < b.today AND i.due_on < {LATEST_DAY} {{only}}""",
)


def holders(of: str) -> str:
    """The SQL that joins those who are told of what belongs to the user of `of`, as `w`."""
    # What is nobody's, or of somebody who has left, is the owners'. Two joins of sets: a subquery
    # would be run for each row.
    columns = ("user_id", "zone", "today", "email", "by_email", "digest", "appointment_offsets")
    either = ", ".join(f"coalesce(p.{name}, o.{name}) AS {name}" for name in columns)
    return f"""
  LEFT JOIN people p ON p.business_id = {of}.business_id AND p.user_id = {of}.user_id
  LEFT JOIN owners o ON o.business_id = {of}.business_id AND p.user_id IS NULL
  JOIN LATERAL (SELECT {either}) w ON w.user_id IS NOT NULL"""


_MAY_BE_DUE = f"(t.due_at <= {NOW} OR (t.due_at IS NULL AND t.due_on < {LATEST_DAY}))"
_AWAKE = f"t.status = 'open' AND (t.snoozed_until IS NULL OR t.snoozed_until <= {NOW})"
# The application may have its own idea of where a day ends.
_TOLD_FROM = f"""{_task_due("w.zone")}
     - CASE WHEN t.due_at IS NULL THEN interval '1 day' ELSE interval '0' END"""

TASKS = Subjects(
    TASK,
    "(t.business_id, t.id)",
    f"""
SELECT t.business_id, t.id AS subject, {TASK_CYCLE} AS cycle, w.user_id, w.zone,
       CASE WHEN w.by_email AND (t.critical OR NOT w.digest)
                 AND {_task_due("w.zone")} >= {NOW} - interval '{NEWS.days + 1} days'
            THEN w.email END AS email,
       'Tâche ' || CASE WHEN t.critical THEN 'critique ' ELSE '' END || 'en retard\u00a0: '
         || left(t.title, 120) AS title,
       'À faire avant le ' || {_due_day("w.zone")} AS body,
       '/tasks/' || t.id AS link, {NOW} AS at
  FROM ponctuel.tasks t{holders("t")}
 WHERE {_AWAKE} AND {_MAY_BE_DUE} AND (t.due_at IS NOT NULL OR t.due_on < w.today)
   AND (t.overdue_told_at IS NULL OR t.overdue_told_at < {_TOLD_FROM}) {{only}}""",
)

# Where its user is; where the owner is, when it is nobody's.
_ENDED = _task_due("coalesce(h.zone, o.zone)")
_SINCE = f"({NOW} - {_ENDED} - interval '{ESCALATED_AFTER.days} days')"
_NTH = f"floor(extract(epoch FROM {_SINCE}) / {ESCALATED_EVERY.total_seconds():.0f})::integer"
# Only the present one of the series: an outage makes no burst.
ESCALATIONS_DUE = Subjects(
    ESCALATION,
    "(t.business_id, t.id)",
    f"""
SELECT t.business_id, t.id AS subject, {TASK_CYCLE} || '/' || {_NTH} AS cycle, o.user_id, o.zone,
       CASE WHEN o.by_email THEN o.email END AS email,
       'Tâche critique toujours en retard\u00a0: ' || left(t.title, 120) AS title,
       coalesce('Confiée à ' || left(p.name, 80) || ', à', 'À') || ' faire avant le '
         || {_due_day("o.zone")} AS body,
       '/tasks/' || t.id AS link, {NOW} AS at
  FROM ponctuel.tasks t
  JOIN owners o ON o.business_id = t.business_id
  LEFT JOIN people h ON h.business_id = t.business_id AND h.user_id = t.user_id
  LEFT JOIN ponctuel.users p ON p.business_id = t.business_id AND p.id = t.user_id
 WHERE t.critical AND {_AWAKE} AND {_MAY_BE_DUE}
   AND {_SINCE} >= interval '0' AND {_NTH} < {ESCALATIONS} {{only}}""",
)
