"""The demo's night: a relance that is ready in the evening leaves in the morning."""

from __future__ import annotations

from sqlalchemy import Engine, text

from sandbox import report, terminal
from sandbox.demo_steps import at, paris, tick

_DISPUTED = text("""
SELECT business_id, subject, content->>'number' AS number FROM ponctuel.messages
 WHERE state = 'cancelled' AND error_code = 'disputed' ORDER BY id LIMIT 1
""")
_SETTLE = text("""
UPDATE ponctuel.invoices SET disputed = false WHERE business_id = :business_id AND id = :subject
""")
_WIDEN = text("""
UPDATE ponctuel.billing_settings SET window_start = '06:00', window_end = '23:00'
 WHERE business_id = :business_id
""")
_RELANCE = text("""
SELECT max(id) FROM ponctuel.messages WHERE business_id = :business_id AND subject = :subject
""")


def night(engine: Engine) -> None:
    """From Tuesday 10 March at 22:00 to Wednesday at 8:00."""
    at(engine, paris(10, 21, 40))
    with engine.begin() as connection:
        row = connection.execute(_DISPUTED).mappings().one()
        connection.execute(_SETTLE, dict(row))
        connection.execute(_WIDEN, dict(row))
    terminal.say(
        f"À 21 h 40 le patron règle le litige de la facture {row['number']}. Il travaille tard, et "
        "a étendu ses envois de 6 h à 23 h. À 22 h la relance est prête, mais personne ne reçoit "
        "de relance la nuit, quels que soient les réglages :"
    )
    at(engine, paris(10, 22))
    tick("followups")
    with engine.begin() as connection:
        relance = connection.execute(_RELANCE, dict(row)).scalar_one()
    report.verdict(engine, relance)
    terminal.then("Le lendemain à 8 h, sans que personne ne s'en occupe :")
    at(engine, paris(11, 8))
    tick("deliver_messages")
    report.verdict(engine, relance)
