"""The demo's agenda: what became overdue, the day's e-mail, an appointment that is called off."""

from __future__ import annotations

from sqlalchemy import Engine, text

from sandbox import report, terminal
from sandbox.demo_steps import at, paris, tick
from sandbox.sample_users import ASSISTANT, OWNER

JOB = "overdue_and_reminders"

_TASKS = text("""
INSERT INTO ponctuel.tasks (business_id, id, title, user_id, due_on, critical)
SELECT min(id), 'T1', 'Commander les ferrures du chantier Rivière', :assistant,
       date '2026-03-13', false FROM ponctuel.businesses
UNION ALL
SELECT min(id), 'T2', 'Déclarer la TVA', :assistant, date '2026-03-12', true
  FROM ponctuel.businesses
""")
_APPOINTMENT = text("""
INSERT INTO ponctuel.appointments
       (business_id, id, title, user_id, starts_at, offsets, created_at)
SELECT min(id), :id, :title, :owner, :starts_at, '60', ponctuel.clock() FROM ponctuel.businesses
""")
# Id, title, minutes after half past nine.
_APPOINTMENTS = (("A1", "Prise de mesures", 0), ("A2", "Réunion de chantier", 10))
_SHOWN = text("""
SELECT title, body FROM ponctuel.notifications
 WHERE business_id = (SELECT min(id) FROM ponctuel.businesses) AND resolved_at IS NULL
 ORDER BY kind DESC, body, id LIMIT 6
""")
_LEFT = text("""
SELECT max(id) FROM ponctuel.messages
 WHERE business_id = (SELECT min(id) FROM ponctuel.businesses) AND kind = :kind
   AND state = 'accepted'
""")
_CALLED_OFF = text("""
UPDATE ponctuel.appointments SET status = 'cancelled' WHERE id = 'A2'
""")
_REMINDERS = text("""
SELECT subject, state FROM ponctuel.messages WHERE kind = 'agenda.reminder' ORDER BY subject
""")
_COUNT = text("SELECT count(*) FROM ponctuel.messages WHERE kind LIKE 'agenda.%'")


def agenda(engine: Engine) -> bool:
    """From Monday 16 March, 19:00, on. Whether each thing was told once, and nothing in vain."""
    at(engine, paris(16, 18, 30))
    with engine.begin() as connection:
        connection.execute(_TASKS, {"assistant": ASSISTANT})
        for id, title, minutes in _APPOINTMENTS:
            values = {"id": id, "title": title, "owner": OWNER}
            starts_at = paris(17, 9, 30 + minutes)
            connection.execute(_APPOINTMENT, values | {"starts_at": starts_at})
    at(engine, paris(16, 19))
    tick(JOB)
    with engine.begin() as connection:
        shown = [(row[0], row[1]) for row in connection.execute(_SHOWN)]
    terminal.say(
        "À 19 h, les factures échues passent « en retard ». Chacun est prévenu une fois, dans "
        "l'application et en un seul e-mail ; une tâche critique oubliée remonte à la dirigeante."
    )
    report.listed("Dans l'application", ("quoi", "détail"), shown)
    at(engine, paris(17, 8))
    tick(JOB)
    terminal.then("À 8 h, l'assistant, qui préfère un e-mail par jour, le reçoit :")
    _letter(engine, "agenda.digest")
    with engine.begin() as connection:
        connection.execute(_CALLED_OFF)
    for minute in (30, 40, 50):
        at(engine, paris(17, 8, minute))
        tick("deliver_messages")
    terminal.then(
        "Deux rappels attendaient leur minute, 8 h 30 et 8 h 40. Le second rendez-vous est annulé "
        "entre-temps : son rappel se relit, et ne part pas. Le premier :"
    )
    _letter(engine, "agenda.reminder")
    with engine.begin() as connection:
        before = connection.execute(_COUNT).scalar_one()
        reminders = [(row[0], row[1]) for row in connection.execute(_REMINDERS)]
    at(engine, paris(17, 9))
    tick(JOB)
    with engine.begin() as connection:
        again = connection.execute(_COUNT).scalar_one() - before
    terminal.then(f"Messages de plus au passage de 9 h : {again}.")
    return not again and reminders == [("A1", "accepted"), ("A2", "cancelled")]


def _letter(engine: Engine, kind: str) -> None:
    with engine.begin() as connection:
        message = connection.execute(_LEFT, {"kind": kind}).scalar_one()
    report.letter(engine, message)
