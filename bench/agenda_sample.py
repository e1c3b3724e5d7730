"""Businesses with invoices, tasks and appointments, of which some have just become due.

Of a hundred invoices one became overdue yesterday, nine have been for long and are told of, ten are
not due yet and eighty are paid. Of a hundred tasks one is newly due, four are told of, ten wait and
the rest are done. Of a hundred appointments one has a reminder in the two hours to come, one has
been reminded of a day before, 48 come within four months and fifty are past. A hundredth of what is
told of has been settled since, and a hundredth of the tasks that are told of are critical.

Dates are relative to the day of the database, as in `sample`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

BUSINESSES = 20
USERS = 50  # of each business, the first of them its owner
KINDS = ("agenda.notice", "agenda.reminder", "agenda.digest")


@dataclass(frozen=True)
class AgendaSample:
    """`due`: how many invoices, tasks and appointments are newly due; a hundredth, unless it is
    said."""

    name: str
    invoices: int
    tasks: int
    appointments: int
    due: tuple[int, int, int] | None = None

    @property
    def newly_due(self) -> tuple[int, int, int]:
        return self.due or (self.invoices // 100, self.tasks // 100, self.appointments // 100)

    @property
    def told(self) -> tuple[int, int, int]:
        """Of invoices, tasks and appointments: those that were told of before, settled or not."""
        return self.invoices * 9 // 100, self.tasks * 4 // 100, self.appointments // 100

    def fill(self, connection: Connection) -> None:
        """Writes it into an empty, migrated database."""
        values: dict[str, object] = {"n": BUSINESSES, "users": USERS, "today": _TODAY}
        values |= {"customers": max(self.invoices // 4, 1)}
        values |= {"kinds": ", ".join(f"'{kind}'" for kind in KINDS)}
        names = ("invoices", "tasks", "appointments")
        for name, due, told in zip(names, self.newly_due, self.told, strict=True):
            size = getattr(self, name)
            # The first ids are newly due, then come those that are told of, and so on.
            values |= {name: size, f"{name}_due": due, f"{name}_told": due + told}
            values |= {f"{name}_open": due + told + size // 10}
        for statement in _FILL:
            connection.exec_driver_sql(statement.format(**values))


_TODAY = "(now() AT TIME ZONE 'Europe/Paris')::date"
_FILL = (
    """
INSERT INTO ponctuel.businesses (id, name, sender_email)
SELECT 'B' || b, 'Menuiserie Lefèvre & Fils ' || b, 'contact@menuiserie-' || b || '.example'
  FROM generate_series(0, {n} - 1) b
""",
    """
INSERT INTO ponctuel.go_lives (business_id, kind, at, by)
SELECT b, k, now(), 'bench' FROM (SELECT id FROM ponctuel.businesses UNION ALL SELECT '*') x(b),
       unnest(ARRAY[{kinds}] || ARRAY['*']) k
""",
    """
INSERT INTO ponctuel.users (business_id, id, name, email, role)
SELECT 'B' || b, 'U' || u, 'Dominique ' || u, 'u' || u || '@menuiserie-' || b || '.example',
       CASE u WHEN 0 THEN 'owner' ELSE 'member' END
  FROM generate_series(0, {n} - 1) b, generate_series(0, {users} - 1) u
""",
    """
INSERT INTO ponctuel.user_preferences (business_id, user_id, appointment_offsets)
SELECT business_id, id, '1440,60' FROM ponctuel.users WHERE id LIKE '%5'
""",
    """
INSERT INTO ponctuel.customers (business_id, id, name, emails)
SELECT 'B' || mod(c, {n}), 'C' || c, 'Hôtel de la Gare n° ' || c, 'c' || c || '@client.example'
  FROM generate_series(0, {customers} - 1) c
""",
    # The newly due ones first, then those that are told of, those to come, and those that are paid.
    """
INSERT INTO ponctuel.invoices (business_id, id, number, customer_id, status, issued_on, due_on,
                               total, balance)
SELECT 'B' || mod(mod(g, {customers}), {n}), 'F' || g, 'F-' || g, 'C' || mod(g, {customers}),
       d.status, d.on - 30, d.on, 1234.56, CASE d.status WHEN 'paid' THEN 0 ELSE 1234.56 END
  FROM generate_series(0, {invoices} - 1) g, LATERAL (
    SELECT {today} + CASE WHEN g < {invoices_due} THEN -1
             WHEN g < {invoices_told} THEN -3 - mod(g, 300)
             WHEN g < {invoices_open} THEN mod(g, 60)
             ELSE -10 - mod(g, 700) END AS on,
           CASE WHEN g < {invoices_due} THEN 'sent' WHEN g >= {invoices_open} THEN 'paid'
             WHEN g >= {invoices_told} THEN 'sent' WHEN mod(g, 100) = 0 THEN 'paid'
             ELSE 'overdue' END AS status) d
""",
    # Every other task has an hour.
    """
INSERT INTO ponctuel.tasks (business_id, id, title, user_id, due_on, due_at, status, critical)
SELECT 'B' || mod(g, {n}), 'T' || g, 'Commander les ferrures du chantier ' || g,
       'U' || mod(g / {n}, {users}), CASE WHEN d.at IS NULL THEN d.on END, d.at,
       CASE WHEN g >= {tasks_open} OR
                 (g >= {tasks_due} AND g < {tasks_told} AND mod(g, 100) = 7)
            THEN 'done' ELSE 'open' END,
       g >= {tasks_due} AND g < {tasks_told} AND mod(g, 100) = 1
  FROM generate_series(0, {tasks} - 1) g, LATERAL (
    SELECT CASE WHEN g < {tasks_due} AND mod(g / 10, 2) = 0 THEN now() - interval '20 minutes'
                WHEN g >= {tasks_told} AND mod(g / 10, 2) = 0
                THEN now() + make_interval(days => CASE WHEN g < {tasks_open} THEN 2 + mod(g, 60)
                                                        ELSE -2 - mod(g, 700) END) END AS at,
           {today} + CASE WHEN g < {tasks_due} THEN -1 WHEN g < {tasks_told} THEN -4
             WHEN g < {tasks_open} THEN mod(g, 60)
             ELSE -10 - mod(g, 700) END AS on) d
""",
    """
INSERT INTO ponctuel.appointments (business_id, id, title, user_id, location, starts_at, status,
                                   created_at)
SELECT 'B' || mod(g, {n}), 'A' || g, 'Prise de mesures ' || g, 'U' || mod(g / {n}, {users}),
       '3 rue des Lilas, Lyon', now() + CASE
         WHEN g < {appointments_due} THEN make_interval(hours => 24, mins => 10 + mod(g, 90))
         WHEN g < {appointments_told} THEN interval '12 hours'
         WHEN mod(g, 2) = 0 THEN make_interval(hours => 48 + mod(g, 2880))
         ELSE make_interval(hours => -24 - mod(g, 8000)) END,
       CASE WHEN mod(g, 4) = 1 AND g >= {appointments_told}
            THEN 'done' ELSE 'scheduled' END, now() - interval '400 days'
  FROM generate_series(0, {appointments} - 1) g
""",
    # What was told before, and shown.
    """
INSERT INTO ponctuel.agenda_told (business_id, kind, subject, cycle, user_id, at, told_at)
SELECT i.business_id, 'agenda.invoice_overdue', i.id, i.due_on || '/' || i.cycle, 'U0', x.at, x.at
  FROM ponctuel.invoices i, LATERAL (SELECT now() - interval '2 days' AS at) x
 WHERE substr(i.id, 2)::integer BETWEEN {invoices_due} AND {invoices_told} - 1
UNION ALL
SELECT t.business_id, 'agenda.task_overdue', t.id, t.due_on::text, t.user_id, x.at, x.at
  FROM ponctuel.tasks t, LATERAL (SELECT now() - interval '2 days' AS at) x
 WHERE substr(t.id, 2)::integer BETWEEN {tasks_due} AND {tasks_told} - 1
UNION ALL
SELECT a.business_id, 'agenda.appointment', a.id,
       to_char(a.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') || '/1440', a.user_id,
       x.at, x.at
  FROM ponctuel.appointments a, LATERAL (SELECT now() - interval '2 days' AS at) x
 WHERE substr(a.id, 2)::integer
       BETWEEN {appointments_due} AND {appointments_told} - 1
UNION ALL
SELECT i.business_id, 'agenda.invoice_marked', i.id, '', '', x.at, x.at
  FROM ponctuel.invoices i, LATERAL (SELECT now() - interval '2 days' AS at) x
 WHERE substr(i.id, 2)::integer BETWEEN {invoices_due} AND {invoices_told} - 1
""",
    """
INSERT INTO ponctuel.notifications (business_id, id, user_id, kind, subject, cycle, title, body,
                                    link, created_at)
SELECT business_id, md5(concat_ws('|', kind, subject, cycle, user_id)), user_id, kind, subject,
       cycle, 'Facture ' || subject || ' en retard',
       'Hôtel de la Gare : 1 234,56 € à régler', '/invoices/' || subject, told_at
  FROM ponctuel.agenda_told WHERE user_id <> ''
""",
)

# Back to what `fill` left: what it told of is two days old, and none of it is resolved.
_UNDO = (
    "DELETE FROM ponctuel.messages WHERE run_id IS NOT NULL",
    "DELETE FROM ponctuel.agenda_told WHERE told_at > now() - interval '1 day'",
    "DELETE FROM ponctuel.notifications WHERE created_at > now() - interval '1 day'",
    "UPDATE ponctuel.agenda_told SET resolved_at = NULL WHERE resolved_at IS NOT NULL",
    "UPDATE ponctuel.notifications SET resolved_at = NULL WHERE resolved_at IS NOT NULL",
    f"""UPDATE ponctuel.invoices SET status = 'sent'
 WHERE status = 'overdue' AND due_on = {_TODAY} - 1""",
    "TRUNCATE ponctuel.runs, ponctuel.run_items, ponctuel.run_errors, ponctuel.job_state",
)
_WRITTEN = ("messages", "agenda_told", "notifications", "invoices")


def undo(connection: Connection) -> None:
    """Takes back what a run or its floor wrote, on a connection that commits each statement, and
    gets the writing behind it done, so that the next measurement does not pay for it."""
    for statement in _UNDO:
        connection.exec_driver_sql(statement)
    for relation in _WRITTEN:
        connection.exec_driver_sql(f"VACUUM ponctuel.{relation}")
    connection.exec_driver_sql("CHECKPOINT")


# What was written since: one figure for each sort.
_EFFECTS = text("""
SELECT kind, count(*) AS n FROM (
  SELECT 'told ' || kind AS kind FROM ponctuel.agenda_told WHERE told_at > now() - interval '1 day'
  UNION ALL
  SELECT 'shown ' || kind FROM ponctuel.notifications WHERE created_at > now() - interval '1 day'
  UNION ALL
  SELECT 'written ' || kind FROM ponctuel.messages WHERE run_id IS NOT NULL
  UNION ALL
  SELECT 'settled ' || kind FROM ponctuel.agenda_told WHERE resolved_at IS NOT NULL
  UNION ALL
  SELECT 'resolved ' || kind FROM ponctuel.notifications WHERE resolved_at IS NOT NULL
  UNION ALL
  SELECT 'overdue' FROM ponctuel.invoices WHERE status = 'overdue'
) written GROUP BY kind ORDER BY kind
""")


def effects(connection: Connection) -> dict[str, int]:
    """How many rows of each sort were written since `undo`."""
    return {row[0]: row[1] for row in connection.execute(_EFFECTS)}
