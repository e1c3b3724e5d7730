"""`make demo`: relances by e-mail and by WhatsApp from a real database, twice; then a night, what
customers answer, an answer that is lost, the mail of a business, its leads, its agenda, and two
accounts that are to be erased.
Nothing leaves the machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from chalicelib.domain.billing.calendar import next_opening
from chalicelib.errors import PonctuelError
from chalicelib.outbox.windows import Window
from sandbox import report, smtp_journal, terminal, whatsapp_journal
from sandbox.demo_steps import PARIS, at, go_live, install, paris, tick
from sandbox.environment import Environment, running

if TYPE_CHECKING:
    from sandbox.sample import Sample

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
    terminal.say("Démarrage du bac à sable : PostgreSQL, serveurs d'e-mail, WhatsApp…")
    try:
        with running("demo", fresh=True) as environment, environment.engine() as engine:
            if options.invoices is not None:
                return _own_invoices(environment, engine, options.invoices)
            from sandbox import sample

            return tell(environment, engine, sample.build(SAMPLE_DAY))
    except PonctuelError as error:
        print(f"Erreur : {error}", file=sys.stderr)
        return 1


def tell(environment: Environment, engine: Engine, businesses: Sample) -> int:
    """The whole demo with these sample businesses, in an empty database. Returns an exit code."""
    from sandbox import (
        demo_accounts,
        demo_agenda,
        demo_leads,
        demo_mailbox,
        demo_night,
        demo_whatsapp,
        sample,
    )

    with engine.begin() as connection:
        sample.load(connection, businesses)
    for key, content in businesses.documents.items():
        path = environment.documents / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    report.businesses(engine)

    terminal.title("1. Mardi 10 mars 2026, 8 h : la tâche horaire")
    at(engine, paris(10, 7, 30))
    install(engine)
    go_live(engine, review=_last_business(engine))
    at(engine, paris(10, 8))
    report.left_out(engine)
    tick("followups")
    terminal.say(
        "En métropole la plage d'envoi ouvre à 9 h : les relances sont prêtes et retenues. À "
        "La Réunion il est 11 h : elles partent, par e-mail ou par WhatsApp selon le niveau."
    )
    report.outcomes(engine)

    terminal.title("2. 9 h : chaque message se relit juste avant de partir")
    _life_goes_on(environment, engine)
    terminal.say(
        "Entre-temps trois clients ont payé, un conteste, une boîte n'existe plus. Personne n'a "
        "rien annulé : au moment de partir, chaque message relit le solde, le litige, la plage "
        "d'envoi."
    )
    at(engine, paris(10, 9))
    tick("followups")
    tick("deliver_messages")
    report.outcomes(engine)
    report.exceptions(engine)

    terminal.title("3. Une heure plus tard, les mêmes tâches")
    again = _again(environment, engine, paris(10, 10))

    terminal.title("4. Ce que les clients ont reçu, par e-mail et par WhatsApp")
    demo_whatsapp.received(engine, environment)

    terminal.title("5. La nuit : retenu le soir, parti le matin")
    demo_night.night(engine)

    terminal.title("6. Mercredi, deux clients répondent")
    silent = demo_whatsapp.stop(engine, environment)

    terminal.title("7. Une réponse perdue : parti ou pas ?")
    is_known = demo_whatsapp.uncertain(engine, environment, silent)

    terminal.title("8. La boîte aux lettres : lue sans rien y changer, chaque e-mail une fois")
    is_kept = demo_mailbox.mailbox(engine, environment)

    terminal.title("9. Les leads qui se taisent : proposés, envoyés, comptés")
    is_counted = demo_leads.leads(engine)

    terminal.title("10. Ce qui est en retard, et ce qui vient : dit une fois, à qui de droit")
    is_told = demo_agenda.agenda(engine)

    terminal.title("11. Deux comptes à supprimer : l'un reste d'un clic, l'autre disparaît")
    is_erased, forgotten = demo_accounts.accounts(engine, environment)

    terminal.title("Le compte")
    agree = _agree(environment, engine, forgotten)
    report.farther(environment)
    shown = is_known and is_kept and is_counted and is_told and is_erased
    return 0 if not again and shown and agree else 1


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
    at(engine, opening - timedelta(minutes=90))
    install(engine)
    go_live(engine, review=None)
    start = opening.replace(minute=0, second=5, microsecond=0) + timedelta(hours=1)
    at(engine, start)
    local = start.astimezone(PARIS)
    terminal.title(f"Ce qui partirait le {local:%d/%m/%Y} à {local:%H h}, prochaine plage d'envoi")
    report.left_out(engine, by_document=True)
    tick("followups")
    report.outcomes(engine)
    report.sent(engine, limit=40)
    report.exceptions(engine)
    terminal.title("Une seconde fois, une heure plus tard")
    _again(environment, engine, start + timedelta(hours=1))
    terminal.title("Un des e-mails envoyés")
    report.one_mail(engine, environment)
    terminal.title("Le compte")
    agree = _agree(environment, engine)
    report.farther(environment)
    return 0 if agree else 1


def _again(environment: Environment, engine: Engine, instant: datetime) -> int:
    before = _taken(environment).total()
    at(engine, instant)
    tick("followups")
    tick("deliver_messages")
    again = _taken(environment).total() - before
    terminal.say(f"Messages envoyés par cette seconde exécution : {again}.")
    return again


def _agree(environment: Environment, engine: Engine, forgotten: int = 0) -> bool:
    """Whether the ledger and the servers know the same messages, each once. `forgotten`: those that
    the ledger has erased with an account."""
    taken = _taken(environment)
    with engine.begin() as connection:
        sent = connection.execute(text(_SENT)).scalar_one() + forgotten
    if sent != len({message for message, _ in taken}) or any(n > 1 for n in taken.values()):
        terminal.say("Le registre et les serveurs ne concordent pas : c'est un défaut.")
        return False
    by_whatsapp = len(environment.whatsapp.accepted())
    of_them = f" (dont {by_whatsapp} par WhatsApp)" if by_whatsapp else ""
    terminal.say(
        f"Le registre et les serveurs du bac à sable concordent : {sent} messages envoyés{of_them},"
        " aucun deux fois, et rien n'a quitté cette machine."
    )
    return True


def _taken(environment: Environment) -> Counter[tuple[str, str]]:
    """How often each message was accepted for each recipient, by e-mail and by WhatsApp."""
    mails = smtp_journal.deliveries(environment.mails)
    return mails + whatsapp_journal.deliveries(environment.whatsapp.folder)


def _last_business(engine: Engine) -> str:
    with engine.begin() as connection:
        return str(connection.execute(text("SELECT max(id) FROM ponctuel.businesses")).scalar_one())


def _life_goes_on(environment: Environment, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(_PAID))
        connection.execute(text(_DISPUTED))
        gone = connection.execute(text(_ONE_RECIPIENT)).scalar_one()
    faults = [{"kind": "refuse_permanent", "recipient": gone}]
    environment.control.write_text(json.dumps(faults))


_SENT = """
SELECT count(*) FROM ponctuel.messages WHERE state IN ('accepted','delivered','failed')
"""
_HELD_INVOICES = """
SELECT m.business_id, m.subject FROM ponctuel.messages m
 WHERE m.kind = 'billing.invoice_followup' AND m.state = 'held' AND m.hold_reason = 'window'
   AND m.content->>'tone' = '{tone}'
 ORDER BY m.business_id, m.id {order} LIMIT {limit}
"""
_PAID = f"""
UPDATE ponctuel.invoices SET status = 'paid', balance = 0
 WHERE (business_id, id) IN ({_HELD_INVOICES.format(tone="mise_en_demeure", order="", limit=3)})
"""
_DISPUTED = f"""
UPDATE ponctuel.invoices SET disputed = true
 WHERE (business_id, id) IN ({_HELD_INVOICES.format(tone="rappel", order="DESC", limit=1)})
"""
_ONE_RECIPIENT = """
SELECT (regexp_match(recipient, '[^@\\s;,<>]+@[^@\\s;,<>]+'))[1] FROM ponctuel.messages
 WHERE state = 'held' AND hold_reason = 'window' AND channel = 'email'
 ORDER BY business_id, id DESC LIMIT 1
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
