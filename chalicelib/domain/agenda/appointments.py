"""Appointments, of which each user is reminded at the offsets that they chose."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.agenda.subjects import NOW, Subjects, holders, instant, iso

APPOINTMENT = "agenda.appointment"
# The e-mail about an appointment.
REMINDER = "agenda.reminder"

# Reminders of the hours to come are planned ahead and wait for their minute, so that an offset of
# ten minutes is as exact as one of a day: two hours, since some deployments tick every two hours.
PLANNED_AHEAD = timedelta(hours=2, minutes=15)
DEFAULT_OFFSETS = "1440,60"
LONGEST_OFFSET = 60 * 24 * 60  # minutes: sixty days
_AHEAD = PLANNED_AHEAD.seconds // 60

STARTS = iso(instant("a.starts_at"))
# A reminder for the start itself leaves then.
NOT_BEGUN = f"a.starts_at > {NOW} - interval '5 minutes'"


def _minutes(written: str) -> str:
    # The offsets that can be read, some write them with a minus; where there are none, the default.
    return f"""
    SELECT DISTINCT least(abs(btrim(part)::integer), {LONGEST_OFFSET}) AS minutes
      FROM regexp_split_to_table(
             CASE WHEN {written} ~ '^\\s*-?\\d{{1,6}}(\\s*[,;]\\s*-?\\d{{1,6}})*\\s*$'
                  THEN {written} ELSE '{DEFAULT_OFFSETS}' END,
             '\\s*[,;]\\s*') AS part"""


# Reading offsets is what costs: only of appointments that are near enough for some user's. Those
# that have offsets of their own are few.
_NEAR = f"""a.starts_at <= {NOW} + interval '{LONGEST_OFFSET + _AHEAD} minutes'
   AND (a.offsets IS NOT NULL OR a.starts_at <= {NOW} + make_interval(mins => {_AHEAD} + (
          SELECT coalesce(max(m.minutes), 0)
            FROM (SELECT DISTINCT appointment_offsets FROM people) u
           CROSS JOIN LATERAL ({_minutes("u.appointment_offsets")}) m)))"""
_WITH_OFFSETS = f"""{holders("a")}
  CROSS JOIN LATERAL ({_minutes("coalesce(a.offsets, w.appointment_offsets)")}) m
  CROSS JOIN LATERAL (
    SELECT {instant("a.starts_at")} - make_interval(mins => m.minutes) AS at) r"""
# The job's run before this one has planned what was due until then and beyond: what it has not was
# made, moved or set back since, so that its instant had passed already.
_PREVIOUS_RUN = """(SELECT max(e.now_at) FROM ponctuel.runs e
      WHERE e.job = :job AND e.zone = :zone AND e.id <> :run_id AND NOT e.dry_run
        AND e.status IN ('succeeded','partial'))"""
# A reminder that was let go because the appointment was cancelled or moved away is none.
_STANDS = f"""d.resolved_at IS NULL AND (
                        d.notice IS NULL OR f.email IS NULL OR EXISTS (
                          SELECT 1 FROM ponctuel.messages m
                           WHERE m.business_id = f.business_id AND m.kind = '{REMINDER}'
                             AND m.subject = f.subject AND m.cycle = f.cycle
                             AND m.step = f.user_id AND NOT m.key_free))"""
# A reminder may be late by half of its offset at the most; an earlier one is let go where a later
# one is due as well; none for an instant at which the appointment had not been made.
APPOINTMENTS = Subjects(
    APPOINTMENT,
    "(a.business_id, a.id)",
    f"""
SELECT * FROM (
SELECT a.business_id, a.id AS subject, {STARTS} || '/' || m.minutes AS cycle, w.user_id, w.zone,
       CASE WHEN w.by_email THEN w.email END AS email,
       'Rendez-vous\u00a0: ' || left(a.title, 120) AS title,
       'Le ' || to_char(a.starts_at AT TIME ZONE w.zone, 'DD/MM/YYYY à HH24:MI')
         || coalesce(', ' || left(nullif(btrim(a.location), ''), 120), '') AS body,
       '/appointments/' || a.id AS link, greatest(r.at, {NOW}) AS at,
       a.starts_at, r.at + make_interval(mins => greatest(m.minutes / 2, 5)) AS until,
       min(m.minutes) FILTER (WHERE r.at <= {NOW})
         OVER (PARTITION BY a.business_id, a.id, w.user_id) AS latest, m.minutes, r.at AS due
  FROM ponctuel.appointments a{_WITH_OFFSETS}
 WHERE a.status = 'scheduled' AND {NOT_BEGUN}
   AND {_NEAR}
   AND r.at <= {NOW} + interval '{_AHEAD} minutes' AND r.at >= a.created_at {{only}}) near
 WHERE (due > {NOW} OR (minutes = latest AND until >= {NOW}))""",
    fresh=f"(f.due > {NOW} OR f.due > coalesce({_PREVIOUS_RUN}, '-infinity'))",
    counts=_STANDS,
)
