"""What a run of `overdue_and_reminders` does to a sample, as one types it: plain SQL, everything at
once, without lease, worklist or batches. Written by hand, and not from the job's own SQL, so that a
bad plan of the job's cannot hide in its floor.

One transaction. Preferences and zones count as they do for the job; digests, snoozed tasks, dates
that are none and names that are too long do not: the sample has none.
"""

from __future__ import annotations

_TODAY = "(now() AT TIME ZONE b.zone)::date"
_ISO = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI\"Z\"')"
_CYCLE = f"coalesce({_ISO.format('t.due_at')}, t.due_on::text)"
_STARTS = _ISO.format("a.starts_at")

_SETTLE = f"""
CREATE TEMP TABLE settled ON COMMIT DROP AS
SELECT d.id FROM ponctuel.agenda_told d
 WHERE d.resolved_at IS NULL AND d.user_id <> '' AND CASE d.kind
   WHEN 'agenda.invoice_overdue' THEN NOT EXISTS (
     SELECT 1 FROM ponctuel.invoices i
      WHERE i.business_id = d.business_id AND i.id = d.subject AND i.balance > 0
        AND i.status IN ('sent','partial','overdue') AND i.due_on || '/' || i.cycle = d.cycle)
   WHEN 'agenda.appointment' THEN NOT EXISTS (
     SELECT 1 FROM ponctuel.appointments a
      WHERE a.business_id = d.business_id AND a.id = d.subject AND a.status = 'scheduled'
        AND a.starts_at > now() AND {_STARTS} = split_part(d.cycle, '/', 1))
   ELSE NOT EXISTS (
     SELECT 1 FROM ponctuel.tasks t
      WHERE t.business_id = d.business_id AND t.id = d.subject AND t.status = 'open'
        AND {_CYCLE} = split_part(d.cycle, '/', 1)) END;
UPDATE ponctuel.notifications n SET resolved_at = now()
  FROM settled s JOIN ponctuel.agenda_told d USING (id)
 WHERE n.business_id = d.business_id
   AND n.id = md5(concat_ws('|', d.kind, d.subject, d.cycle, d.user_id));
UPDATE ponctuel.agenda_told SET resolved_at = now() WHERE id IN (SELECT id FROM settled);
"""
_MARK = f"""
WITH marked AS (
  UPDATE ponctuel.invoices i SET status = 'overdue' FROM ponctuel.businesses b
   WHERE b.id = i.business_id AND i.status IN ('sent','partial') AND i.balance > 0
     AND i.due_on < {_TODAY}
  RETURNING i.business_id, i.id)
INSERT INTO ponctuel.agenda_told (business_id, kind, subject, cycle, user_id, at, told_at)
SELECT business_id, 'agenda.invoice_marked', id, '', '', now(), now() FROM marked;
"""
_INVOICES = f"""
SELECT i.business_id, i.id AS subject, i.due_on || '/' || i.cycle AS cycle, o.id AS user_id,
       o.email, 'Facture ' || i.number || ' en retard' AS title,
       c.name || ' : ' || to_char(i.balance, 'FM999G990D00') || ' € à régler depuis le '
         || to_char(i.due_on, 'DD/MM/YYYY') AS body,
       '/invoices/' || i.id AS link, now() AS at, now() + interval '2 days' AS until
  FROM ponctuel.invoices i
  JOIN ponctuel.businesses b ON b.id = i.business_id
  JOIN ponctuel.users o ON o.business_id = i.business_id AND o.role = 'owner'
  LEFT JOIN ponctuel.customers c ON c.business_id = i.business_id AND c.id = i.customer_id
 WHERE i.status = 'overdue' AND i.balance > 0 AND i.due_on < {_TODAY}
"""
_TASKS = f"""
SELECT t.business_id, t.id AS subject, {_CYCLE} AS cycle, u.id AS user_id, u.email,
       'Tâche en retard : ' || t.title AS title,
       'À faire avant le ' || to_char(coalesce((t.due_at AT TIME ZONE b.zone)::date, t.due_on),
                                      'DD/MM/YYYY') AS body,
       '/tasks/' || t.id AS link, now() AS at, now() + interval '2 days' AS until
  FROM ponctuel.tasks t
  JOIN ponctuel.businesses b ON b.id = t.business_id
  JOIN ponctuel.users u ON u.business_id = t.business_id AND u.id = t.user_id
 WHERE t.status = 'open' AND (t.due_at <= now() OR (t.due_at IS NULL AND t.due_on < {_TODAY}))
"""
_NTH = "floor(extract(epoch FROM now() - s.since) / 259200)::integer"
_ESCALATIONS = f"""
SELECT t.business_id, t.id AS subject, {_CYCLE} || '/' || {_NTH} AS cycle, o.id AS user_id, o.email,
       'Tâche critique toujours en retard : ' || t.title AS title,
       'Confiée à ' || u.name || ', à faire avant le ' || to_char(t.due_on, 'DD/MM/YYYY') AS body,
       '/tasks/' || t.id AS link, now() AS at, now() + interval '2 days' AS until
  FROM ponctuel.tasks t
  JOIN ponctuel.businesses b ON b.id = t.business_id
  JOIN ponctuel.users o ON o.business_id = t.business_id AND o.role = 'owner'
  JOIN ponctuel.users u ON u.business_id = t.business_id AND u.id = t.user_id, LATERAL (
    SELECT coalesce(t.due_at, (t.due_on + 1)::timestamp AT TIME ZONE b.zone) + interval '1 day'
             AS since) s
 WHERE t.critical AND t.status = 'open' AND s.since <= now()
"""
_APPOINTMENTS = f"""
SELECT a.business_id, a.id AS subject, {_STARTS} || '/' || o.minutes AS cycle, u.id AS user_id,
       u.email, 'Rendez-vous : ' || a.title AS title,
       'Le ' || to_char(a.starts_at AT TIME ZONE b.zone, 'DD/MM/YYYY à HH24:MI') || ', '
         || a.location AS body,
       '/appointments/' || a.id AS link, r.at, r.at + make_interval(mins => o.minutes / 2) AS until
  FROM ponctuel.appointments a
  JOIN ponctuel.businesses b ON b.id = a.business_id
  JOIN ponctuel.users u ON u.business_id = a.business_id AND u.id = a.user_id
  LEFT JOIN ponctuel.user_preferences p ON p.business_id = u.business_id AND p.user_id = u.id,
       LATERAL (SELECT unnest(string_to_array(coalesce(a.offsets, p.appointment_offsets, '1440,60'),
                                              ','))::integer AS minutes) o,
       LATERAL (SELECT a.starts_at - make_interval(mins => o.minutes) AS at) r
 WHERE a.status = 'scheduled' AND a.starts_at > now()
   AND a.starts_at <= now() + interval '60 days 135 minutes'
   AND r.at <= now() + interval '135 minutes' AND r.at > now() - interval '12 hours'
"""
_MESSAGES = """
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
                               state, hold_reason, planned_at, not_before, expires_at, run_id)
SELECT business_id, {message}, {subject}, {cycle}, {step}, 'email', 'user:' || user_id, min(email),
       {state}, {hold}, now(), {at}, {until}, :run_id
  FROM due GROUP BY {group}
"""
_TELL = """
WITH due AS MATERIALIZED (
  SELECT c.* FROM ({candidates}) c
   WHERE NOT EXISTS (SELECT 1 FROM ponctuel.agenda_told d
                      WHERE d.business_id = c.business_id AND d.kind = '{kind}'
                        AND d.subject = c.subject AND d.cycle = c.cycle
                        AND d.user_id = c.user_id)
), told AS (
  INSERT INTO ponctuel.agenda_told (business_id, kind, subject, cycle, user_id, notice, at, told_at)
  SELECT business_id, '{kind}', subject, cycle, user_id, now()::text, at, now() FROM due
), shown AS (
  INSERT INTO ponctuel.notifications (business_id, id, user_id, kind, subject, cycle, title, body,
                                      link, created_at)
  SELECT business_id, md5(concat_ws('|', '{kind}', subject, cycle, user_id)), user_id, '{kind}',
         subject, cycle, title, body, link, at FROM due
){messages};
"""
_NOTICE = _MESSAGES.format(
    message="'agenda.notice'", subject="user_id", cycle="now()::text || '/{kind}'", step="''",
    state="'planned'", hold="NULL", at="min(at)", until="min(until)", group="business_id, user_id",
)  # fmt: skip
_REMINDER = _MESSAGES.format(
    message="'agenda.reminder'", subject="subject", cycle="cycle", step="user_id", state="'held'",
    hold="'window'", at="at", until="until",
    group="business_id, subject, cycle, user_id, at, until",
)  # fmt: skip


def _tell(kind: str, candidates: str, messages: str = _NOTICE) -> str:
    statement = _TELL.replace("{messages}", messages).replace("{candidates}", candidates)
    return statement.replace("{kind}", kind)


TYPED = "BEGIN;" + _SETTLE + _MARK
TYPED += _tell("agenda.invoice_overdue", _INVOICES)
TYPED += _tell("agenda.task_overdue", _TASKS)
TYPED += _tell("agenda.task_escalated", _ESCALATIONS)
TYPED += _tell("agenda.appointment", _APPOINTMENTS, _REMINDER)
TYPED += "COMMIT;\n"
