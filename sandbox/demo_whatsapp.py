"""The demo's WhatsApp: what a customer reads, answers, and an answer of Twilio's that is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, text

from sandbox import report, terminal
from sandbox.demo_steps import at, paris, tick
from sandbox.environment import Environment
from sandbox.whatsapp_answer import answer

Row = Mapping[str, Any]

# Who got a relance by WhatsApp, alone has that number, and owes nothing else.
_CUSTOMERS = text("""
SELECT m.business_id, m.person AS customer_id, c.name, m.contact, m.id AS message_id
  FROM ponctuel.messages m
  JOIN ponctuel.customers c ON c.business_id = m.business_id AND c.id = m.person
 WHERE m.channel = 'whatsapp' AND m.state = 'accepted' AND m.kind = 'billing.invoice_followup'
   AND NOT EXISTS (SELECT 1 FROM ponctuel.messages o WHERE o.contact = m.contact AND o.id <> m.id)
   AND NOT EXISTS (
     SELECT 1 FROM ponctuel.invoices i
      WHERE i.business_id = m.business_id AND i.customer_id = m.person AND i.id <> m.subject
        AND i.status IN ('sent','partial','overdue'))
   AND NOT EXISTS (
     SELECT 1 FROM ponctuel.quotes q
      WHERE q.business_id = m.business_id AND q.customer_id = m.person AND q.status = 'sent')
 ORDER BY m.id LIMIT 3
""")
_NEW_INVOICE = text("""
INSERT INTO ponctuel.invoices
       (business_id, id, number, customer_id, status, issued_on, due_on, total, balance)
VALUES (:business_id, :number, :number, :customer_id, 'sent', '2026-02-14', '2026-03-16', :total,
        :total)
""")
_RELANCE = text("""
SELECT max(id) FROM ponctuel.messages WHERE business_id = :business_id AND subject = :number
""")


def received(engine: Engine, environment: Environment) -> None:
    """What customers got on Tuesday: one e-mail, one WhatsApp message."""
    report.sent(engine, limit=6)
    report.one_mail(engine, environment, lines=12)
    with engine.begin() as connection:
        customer = _customers(connection)[0]
    report.phone(engine, customer["message_id"])
    terminal.then(
        "Personne n'est tenu de répondre à un devis : par e-mail, ses relances portent un lien de "
        "désinscription."
    )


def stop(engine: Engine, environment: Environment) -> Row:
    """From Wednesday 11 March to Friday 13: one customer answers STOP, another one a sentence.
    Returns the third one, whose relance of Friday Twilio took without saying so."""
    at(engine, paris(11, 9, 30))
    with engine.begin() as connection:
        stopping, answering, silent = _customers(connection)
    for customer, words in ((stopping, "STOP"), (answering, "Bonjour, le virement part lundi.")):
        terminal.say(
            f"« {words} », répond {customer['name']} ({report.number(customer['contact'])})."
        )
        status = answer(environment.public_url, customer["contact"], words)
        if status != 200:
            raise RuntimeError(f"the webhook was answered with {status}")
    terminal.say(
        "Twilio nous le transmet par un webhook signé. Vendredi, une nouvelle facture de chacun "
        "arrive à trois jours de son échéance : une relance est prévue par WhatsApp."
    )
    numbers = _new_invoices(engine, (stopping, answering, silent))
    environment.whatsapp.fail("accept_then_close", recipient=silent["contact"], count=1)
    at(engine, paris(13, 9))
    tick("followups")
    tick("deliver_messages")
    terminal.then("STOP : la relance ne part pas, et le gérant voit pourquoi.")
    report.verdict(engine, _relance(engine, stopping, numbers[0]))
    terminal.then("Elle attend une décision : la renvoyer autrement, la passer, ou en rester là.")
    report.command("followups", "list", "--business", stopping["business_id"])
    terminal.then(
        "Une réponse qui n'est pas un STOP : quelqu'un doit la lire, les relances attendent."
    )
    report.command("explain", "facture", numbers[1], "--business", answering["business_id"])
    return {**silent, "message_id": _relance(engine, silent, numbers[2])}


def uncertain(engine: Engine, environment: Environment, customer: Row) -> bool:
    """Friday 13 March, 9:00: whether the message that nobody knew of left once, and is known."""
    message = customer["message_id"]
    terminal.say(
        f"Dans le même passage, Twilio a pris le message de {customer['name']}, puis la connexion "
        "a été coupée avant sa réponse. Le renvoyer, c'est risquer un doublon ; l'oublier, une "
        "relance perdue. Ni l'un ni l'autre :"
    )
    report.verdict(engine, message)
    terminal.then("Deux minutes plus tard la preuve est cherchée, et trouvée, chez Twilio :")
    at(engine, paris(13, 9, 2))
    tick("deliver_messages")
    report.verdict(engine, message)
    terminal.then("Puis le téléphone du client l'a reçu, et Twilio le dit par webhook :")
    taken = [one for one in environment.whatsapp.accepted() if one.fault == "accept_then_close"]
    at(engine, paris(13, 9, 3))
    environment.whatsapp.status(taken[0], "delivered").send()
    report.verdict(engine, message)
    times = sum(one.reference == taken[0].reference for one in environment.whatsapp.accepted())
    once = "une seule fois" if times == 1 else f"{times} fois"
    terminal.then(f"Au journal de Twilio, ce message figure {once}.")
    return times == 1 and len(taken) == 1


def _customers(connection: Connection) -> list[Row]:
    return [dict(row) for row in connection.execute(_CUSTOMERS).mappings()]


def _new_invoices(engine: Engine, customers: tuple[Row, ...]) -> list[str]:
    """One for each, due on Monday 16 March, whose first relance is three days before."""
    numbers = []
    with engine.begin() as connection:
        for position, customer in enumerate(customers, start=1):
            numbers.append(f"F-2026-09{position:02}")
            total = 390 * position
            connection.execute(_NEW_INVOICE, {**customer, "number": numbers[-1], "total": total})
    return numbers


def _relance(engine: Engine, customer: Row, number: str) -> int:
    with engine.begin() as connection:
        values = {"business_id": customer["business_id"], "number": number}
        return int(connection.execute(_RELANCE, values).scalar_one())
