"""The demo's leads: proposed to their closer, sent by hand, answered, or left alone."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.leads import proposals
from chalicelib.outbox.formats import date_heure
from sandbox import report, terminal
from sandbox.demo_steps import at, paris, tick
from sandbox.sample_users import CLOSER

# Name, number as typed, days since it came, status. Numbers are Arcep's for fiction, a landline's
# included.
LEADS = (
    ("Claire Rivière", "06 39 98 20 01", 2, "open"),
    ("Hugo Lemaire", "+33 (0)6 39 98 20 02", 3, "open"),
    ("H. Lemaire", "0639982002", 2, "open"),
    ("SCI des Tilleuls", "01 99 00 20 03", 4, "open"),
    ("Nadia Benali", "06 39 98 20 04", 5, "won"),
)

_SETTINGS = text("""
INSERT INTO ponctuel.lead_settings (business_id, followups_enabled) VALUES (:business_id, true)
""")
_LEAD = text(f"""
INSERT INTO ponctuel.leads (business_id, id, name, phone, status, closer_id, stage_since)
VALUES (:business_id, :id, :name, :phone, :status, '{CLOSER}', :since)
""")
_DIGEST = text("""
SELECT b.text FROM ponctuel.messages m JOIN ponctuel.message_bodies b ON b.message_id = m.id
 WHERE m.kind = 'leads.closer_digest' AND m.state = 'accepted'
""")
_COUNTED = text("""
SELECT sum(followups) FROM ponctuel.leads WHERE business_id = :business_id
""")


def leads(engine: Engine) -> bool:
    """From Monday 16 March on. Whether one follow-up was counted, the one that was confirmed."""
    at(engine, paris(16, 11, 50))
    with engine.begin() as connection:
        business = _arrive(connection)
    terminal.say(
        f"{len(LEADS)} leads sont arrivés ces derniers jours et n'ont rien dit depuis. Les "
        "relances sont en mode assisté : le message est prêt, c'est leur closer, Léa, qui "
        "l'envoie."
    )
    at(engine, paris(16, 12))
    tick("lead_followups")
    with engine.begin() as connection:
        digest = connection.execute(_DIGEST).scalar_one()
        clock = paris(16, 12, 5)
        due = proposals.due_of(connection, business, CLOSER, clock).proposals
    terminal.then("À midi, Léa reçoit un seul e-mail :")
    terminal.console.print(terminal.shown(f"\n{digest}"), soft_wrap=True)
    terminal.then("Le lien ouvre sa page ; un geste ouvre WhatsApp, sur un texte prêt :")
    terminal.say(due[0].text.replace("\n", " "))
    at(engine, clock)
    with engine.begin() as connection:
        first, second = (p for p in due)
        proposals.open_(connection, business, CLOSER, first.id)
        proposals.confirm(connection, business, CLOSER, first.id)
        proposals.skip(connection, business, CLOSER, second.id, "replied")
    terminal.then(
        f"Elle envoie à {first.name} et le confirme : c'est là que la relance compte. "
        f"{second.name} lui avait déjà répondu : elle le dit, sa cadence s'arrête. Pourquoi les "
        "autres n'ont rien reçu :"
    )
    report.command("explain", "lead", "lead-3", "--business", business)
    report.command("explain", "lead", "lead-4", "--business", business)
    at(engine, paris(16, 18))
    tick("lead_followups")
    with engine.begin() as connection:
        counted = connection.execute(_COUNTED, {"business_id": business}).scalar_one()
        left = proposals.due_of(connection, business, CLOSER, paris(16, 18, 1)).total
    next_one = date_heure((clock + timedelta(hours=48)).isoformat())
    terminal.then(
        f"Au passage de 18 h, {left} proposition et {counted} relance comptée : la suivante "
        f"de {first.name} ne viendra pas avant le {next_one}."
    )
    return counted == 1 and not left


def _arrive(connection: Connection) -> str:
    """Puts them into the first business; returns its id."""
    found = connection.execute(text("SELECT min(id) FROM ponctuel.businesses")).scalar_one()
    values = {"business_id": str(found)}
    connection.execute(_SETTINGS, values)
    for number, (name, phone, days, status) in enumerate(LEADS, 1):
        lead = {"id": f"lead-{number}", "name": name, "phone": phone, "status": status}
        since = paris(16, 9) - timedelta(days=days)
        connection.execute(_LEAD, values | lead | {"since": since})
    return str(found)
