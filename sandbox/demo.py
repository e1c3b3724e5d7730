"""`make demo`: relances by real e-mails from a real database, twice. Nothing leaves the machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from chalicelib import jobs
from chalicelib.domain.billing.calendar import Window, next_opening
from chalicelib.errors import PonctuelError
from chalicelib.runner.events import envelope
from sandbox import clock, report
from sandbox.environment import Environment, running
from sandbox.local_context import LocalContext
from sandbox.smtp_journal import deliveries

PARIS = ZoneInfo("Europe/Paris")
SAMPLE_DAY = date(2026, 3, 10)
OWN = "MOI"
OFFICE_HOURS = Window(time(9), time(18), business_days_only=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--invoices", type=Path, help="your own invoices, a CSV export")
    options = parser.parse_args(argv)
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    os.environ.setdefault("LOG_FORMAT", "json")
    if options.invoices is not None and not options.invoices.is_file():
        print(f"Fichier introuvable : {options.invoices}", file=sys.stderr)
        return 1
    report.say("Démarrage de PostgreSQL et du serveur SMTP du bac à sable…")
    try:
        with running("demo", fresh=True) as environment, environment.engine() as engine:
            if options.invoices is not None:
                return _own_invoices(environment, engine, options.invoices)
            return _sample(environment, engine)
    except PonctuelError as error:
        print(f"Erreur : {error}", file=sys.stderr)
        return 1


def _sample(environment: Environment, engine: Engine) -> int:
    from sandbox import sample

    businesses = sample.build(SAMPLE_DAY)
    with engine.begin() as connection:
        sample.load(connection, businesses)
    for key, content in businesses.documents.items():
        path = environment.documents / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    report.businesses(engine)

    report.title("1. Mardi 10 mars 2026, 8 h : la tâche horaire")
    _at(engine, datetime.combine(SAMPLE_DAY, time(7, 30), PARIS))
    _install(engine)
    _go_live(engine, review=_last_business(engine))
    _at(engine, datetime.combine(SAMPLE_DAY, time(8, 0, 5), PARIS))
    report.left_out(engine)
    _tick("followups")
    report.say(
        "En métropole la plage d'envoi ouvre à 9 h : les relances sont prêtes et retenues. À "
        "La Réunion il est 11 h, elles partent."
    )
    report.outcomes(engine)

    report.title("2. Entre-temps : trois clients paient, un conteste, une boîte n'existe plus")
    _life_goes_on(environment, engine)
    report.say(
        "Leurs relances sont déjà prévues. Rien n'est annulé à la main : c'est au moment de partir "
        "que chaque message relit le solde, le litige et la plage d'envoi."
    )

    report.title("3. 9 h : les messages partent, gardes relues une à une")
    _at(engine, datetime.combine(SAMPLE_DAY, time(9, 0, 5), PARIS))
    _tick("followups")
    _tick("deliver_messages")
    report.outcomes(engine)
    report.sent(engine)
    report.exceptions(engine)
    return _second_run(environment, engine, time(10, 0, 5))


def _own_invoices(environment: Environment, engine: Engine, file: Path) -> int:
    from cli.imports.store import import_invoices

    now = datetime.now(UTC)
    opening = next_opening(now, PARIS, OFFICE_HOURS)
    assert opening is not None
    with engine.begin() as connection:
        connection.execute(text(_OWN_BUSINESS), {"id": OWN})
        connection.execute(text(_OWN_SETTINGS), {"id": OWN})
        connection.execute(text(_OWN_LEVELS), {"id": OWN})
        imported = import_invoices(connection, OWN, file)
    report.imported(imported, file.name)
    _at(engine, opening - timedelta(minutes=90))
    _install(engine)
    _go_live(engine, review=None)
    start = opening.replace(minute=0, second=5, microsecond=0) + timedelta(hours=1)
    _at(engine, start)
    local = start.astimezone(PARIS)
    report.title(f"Ce qui partirait le {local:%d/%m/%Y} à {local:%H h}, prochaine plage d'envoi")
    report.left_out(engine, by_document=True)
    _tick("followups")
    report.outcomes(engine)
    report.sent(engine, limit=40)
    report.exceptions(engine)
    return _second_run(environment, engine, (local + timedelta(hours=1)).time(), local.date())


def _second_run(environment: Environment, engine: Engine, at: time, day: date = SAMPLE_DAY) -> int:
    before = deliveries(environment.mails).total()
    report.title("Une seconde fois, une heure plus tard")
    _at(engine, datetime.combine(day, at, PARIS))
    _tick("followups")
    _tick("deliver_messages")
    received = deliveries(environment.mails)
    again = received.total() - before
    report.say(f"E-mails envoyés par cette seconde exécution : {again}.")
    report.one_mail(engine, environment)
    with engine.begin() as connection:
        accepted = connection.execute(
            text("SELECT count(*) FROM ponctuel.messages WHERE state = 'accepted'")
        ).scalar_one()
    twice = [key for key, times in received.items() if times > 1]
    if (
        twice
        or (again and day == SAMPLE_DAY)
        or accepted != len({message_id for message_id, _ in received})
    ):
        report.say("Le registre et le serveur SMTP ne concordent pas : c'est un défaut.")
        return 1
    report.say(
        f"Le registre et le serveur SMTP concordent : {accepted} messages acceptés, aucun deux "
        "fois, et rien n'a quitté cette machine."
    )
    return 0


def _tick(name: str) -> None:
    """The scheduled handler, called as EventBridge and Lambda call it."""
    job = jobs.job(name)
    jobs.module(name).handler(envelope(name), LocalContext(name, job.timeout_s))


def _at(engine: Engine, instant: datetime) -> None:
    with engine.begin() as connection:
        clock.set_clock(connection, instant)


def _install(engine: Engine) -> None:
    """What the first deployed tick does: slots count from now on."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ponctuel.job_state (job, zone, covered_through) SELECT name, "
                "'Europe/Paris', ponctuel.clock() FROM unnest(CAST(:names AS text[])) name"
            ),
            {"names": list(jobs.NAMES)},
        )


def _last_business(engine: Engine) -> str:
    with engine.begin() as connection:
        return str(connection.execute(text("SELECT max(id) FROM ponctuel.businesses")).scalar_one())


def _go_live(engine: Engine, review: str | None) -> None:
    """The stage and the businesses go live, except the one that stays in review."""
    with engine.begin() as connection:
        connection.execute(text(_GO_LIVE), {"review": review})


def _life_goes_on(environment: Environment, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(_PAID))
        connection.execute(text(_DISPUTED))
        gone = connection.execute(text(_ONE_RECIPIENT)).scalar_one()
    faults = [{"kind": "refuse_permanent", "recipient": gone}]
    environment.control.write_text(json.dumps(faults))


_KINDS = (
    "('*'), ('billing.invoice_followup'), ('billing.invoice_letter'), ('billing.quote_followup')"
)
_GO_LIVE = f"""
INSERT INTO ponctuel.go_lives (business_id, kind, at, by)
SELECT '*', '*', ponctuel.clock(), 'demo'
UNION ALL
SELECT b.id, k.kind, ponctuel.clock(), 'demo'
  FROM ponctuel.businesses b CROSS JOIN (VALUES {_KINDS}) k(kind)
 WHERE b.id IS DISTINCT FROM CAST(:review AS text)
"""
_HELD_INVOICES = """
SELECT m.business_id, m.subject FROM ponctuel.messages m
 WHERE m.kind = 'billing.invoice_followup' AND m.state = 'held' AND m.hold_reason = 'window'
 ORDER BY m.id
"""
_PAID = f"""
UPDATE ponctuel.invoices SET status = 'paid', balance = 0
 WHERE (business_id, id) IN ({_HELD_INVOICES} LIMIT 3)
"""
_DISPUTED = f"""
UPDATE ponctuel.invoices SET disputed = true
 WHERE (business_id, id) IN ({_HELD_INVOICES} OFFSET 3 LIMIT 1)
"""
_ONE_RECIPIENT = """
SELECT (regexp_match(recipient, '[^@\\s;,<>]+@[^@\\s;,<>]+'))[1] FROM ponctuel.messages
 WHERE state = 'held' AND hold_reason = 'window' ORDER BY id DESC LIMIT 1
"""
_OWN_BUSINESS = """
INSERT INTO ponctuel.businesses (id, name, sender_name, sender_email)
VALUES (:id, 'Votre entreprise', 'Votre entreprise', 'relances@votre-entreprise.example')
"""
_OWN_SETTINGS = """
INSERT INTO ponctuel.billing_settings (business_id, followups_enabled) VALUES (:id, true)
"""
_OWN_LEVELS = """
INSERT INTO ponctuel.followup_levels (business_id, document, level, anchor, delay_days, tone)
VALUES (:id, 'invoice', 1, 'due', -3, 'rappel'), (:id, 'invoice', 2, 'due', 5, 'rappel'),
       (:id, 'invoice', 3, 'due', 15, 'ferme'), (:id, 'invoice', 4, 'due', 30, 'mise_en_demeure')
"""

if __name__ == "__main__":
    sys.exit(main())
