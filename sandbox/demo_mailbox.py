"""The demo's mailbox: what a business receives, read over IMAP from a real server, each once."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from sandbox import report, terminal
from sandbox.demo_steps import at, paris, tick
from sandbox.environment import Environment
from sandbox.imap import PASSWORD
from sandbox.sample_mailbox import (
    Relance,
    absence,
    answer,
    bounce,
    old_question,
    others,
    own_quote,
)

Row = Mapping[Any, Any]

BUSINESS = "B1"
CLIENTS = "Clients"
COMMANDS = ("APPEND", "COPY", "DELETE", "EXPUNGE", "MOVE", "RENAME", "SELECT", "STORE")

# Relances of unpaid invoices, each to one address that is one customer's.
_RELANCES = text("""
SELECT m.id, m.content->>'number' AS number, m.contact AS address, c.name, m.message_id
  FROM ponctuel.messages m
  JOIN ponctuel.customers c ON c.business_id = m.business_id AND c.id = m.person
 WHERE m.business_id = :business AND m.kind = 'billing.invoice_followup' AND m.channel = 'email'
   AND m.state = 'accepted' AND m.recipient = m.contact
   AND (SELECT count(*) FROM ponctuel.customers o
         WHERE o.business_id = m.business_id AND o.emails ILIKE '%' || m.contact || '%') = 1
   AND (SELECT count(*) FROM ponctuel.messages o
         WHERE o.business_id = m.business_id AND o.person = m.person) = 1
 ORDER BY m.id LIMIT 4
""")
_ADDRESS = text("SELECT reply_to FROM ponctuel.businesses WHERE id = :business")
_READ = text("""
SELECT COALESCE(NULLIF(e.from_name, ''), e.from_email) AS sender, e.subject, e.nature, e.state,
       e.direction, e.has_message_id, e.faults, e.internal_date < m.created_at AS old,
       c.name AS customer,
       (SELECT string_agg(a.name || CASE a.type WHEN 'application/pdf' THEN ' (PDF)' ELSE '' END,
                          ', ' ORDER BY a.position)
          FROM ponctuel.email_attachments a
         WHERE a.email_id = e.id AND a.type <> 'message/rfc822') AS attachments
  FROM ponctuel.emails e
  JOIN ponctuel.mailboxes m ON m.id = e.mailbox_id
  LEFT JOIN ponctuel.customers c ON c.business_id = e.business_id AND c.id = e.customer_id
 ORDER BY e.internal_date, e.id
""")
_COUNTS = text("""
SELECT (SELECT count(*) FROM ponctuel.emails) AS emails,
       (SELECT count(*) FROM ponctuel.email_places WHERE gone_at IS NULL) AS places,
       (SELECT count(*) FROM ponctuel.emails e WHERE e.thread_id = (
          SELECT f.thread_id FROM ponctuel.emails f WHERE f.inbound_id IS NOT NULL
           ORDER BY f.id LIMIT 1)) AS conversation
""")
_NOTICE = text("SELECT min(id) FROM ponctuel.messages WHERE kind = 'inbox.reply'")
_NATURES = {
    "mail": "",
    "bounce": "avis de non-remise",
    "auto_reply": "réponse automatique",
    "list": "lettre d'information",
    "calendar": "invitation",
}
_REPAIRS = {
    "boundary": "parties mal fermées",
    "charset": "accents d'un autre codage",
    "date": "date impossible",
    "encoding": "codage abîmé",
    "header": "en-têtes abîmés",
    "html": "HTML trop long",
    "size": "trop grand, coupé",
}


def mailbox(engine: Engine, environment: Environment) -> bool:
    """Friday 13 March, from 9:10 to 9:30: whether every mail was kept once, and nothing changed on
    the server."""
    server = environment.imap
    with engine.begin() as connection:
        box = connection.execute(_ADDRESS, {"business": BUSINESS}).scalar_one()
        found = connection.execute(_RELANCES, {"business": BUSINESS}).mappings().all()
    answering, absent, gone, filed = (
        Relance(row["number"], row["address"], row["name"], row["message_id"]) for row in found
    )
    server.deliver(
        [
            ("Sent", own_quote(box, paris(2, 11)), paris(2, 11)),
            (CLIENTS, old_question(box, filed, paris(3, 15)), paris(3, 15)),
        ]
    )
    at(engine, paris(13, 9, 10))
    terminal.say(
        "Le gérant ajoute la boîte de son entreprise, sur un vrai serveur IMAP de ce bac à sable. "
        "Son mot de passe est chiffré avant d'atteindre la base ; il vient ici par un tube :"
    )
    with _typed(PASSWORD):
        report.command(
            *("mailbox", "add", "--business", BUSINESS, "--address", box, "--host", "127.0.0.1"),
            *("--port", str(server.port), "--security", "none"),
        )
    written = answer(box, answering, paris(13, 9, 12), "Bonjour, le virement part lundi.")
    arrived = {
        "answer": written,
        "absence": absence(box, absent, paris(13, 9, 13)),
        "bounce": bounce(box, gone, paris(13, 9, 14)),
        **others(box, paris(13, 9, 15)),
    }
    # A rule of the user's copies answers into a folder of their own.
    shown = [*(("INBOX", content) for content in arrived.values()), (CLIENTS, written)]
    server.deliver((folder, content, paris(13, 9, 16)) for folder, content in shown)
    _sync(engine, paris(13, 9, 20))
    expected = len(arrived) + 2
    with engine.begin() as connection:
        rows = connection.execute(_READ).mappings().all()
    kept = _kept(engine)
    report.listed(
        f"Les {kept} e-mails lus à 9 h 20, chacun une fois",
        ("de", "objet", "ce que c'est", "réparé, joint"),
        [(row["sender"], row["subject"], _what(row), _notes(row)) for row in rows],
    )
    terminal.then(
        f"{answering.name} a répondu à sa relance : l'e-mail la cite. Ses relances attendent ; une "
        "absence ou une lettre d'information n'aurait rien suspendu."
    )
    report.command("explain", "facture", answering.number, "--business", BUSINESS)
    at(engine, paris(13, 9, 21))
    tick("deliver_messages")
    terminal.then("L'entreprise en est prévenue, une fois par conversation et par jour :")
    with engine.begin() as connection:
        notice = connection.execute(_NOTICE).scalar_one()
    report.letter(engine, notice)
    terminal.then(f"La relance de {gone.name} est revenue : son adresse n'existe plus.")
    report.verdict(engine, next(row["id"] for row in found if row["address"] == gone.address))
    report.command("suppressions", "list", "--business", BUSINESS)

    _sync(engine, paris(13, 9, 25))
    second = _kept(engine) - kept
    terminal.then(f"Nouveaux e-mails à la lecture de 9 h 25 : {second}.")
    server.renumber(CLIENTS)
    last = answer(box, answering, paris(13, 9, 27), "PS : je joins l'avis de virement.", again=2)
    server.deliver([("INBOX", last, paris(13, 9, 27))])
    _sync(engine, paris(13, 9, 30))
    third = _kept(engine) - kept - second
    with engine.begin() as connection:
        counts = connection.execute(_COUNTS).mappings().one()
    terminal.say(
        f"Puis le serveur renumérote le dossier {CLIENTS} (UIDVALIDITY), ce qui fait tout relire, "
        f"en double, à bien des logiciels ; et un e-mail arrive. À 9 h 30 : {third} nouveau, dans "
        f"la même conversation ({counts['conversation']} e-mails)."
    )
    changing = _changing(server.commands)
    terminal.then(
        f"Au bout du compte, {counts['emails']} e-mails que le serveur montre à {counts['places']} "
        f"endroits. Aucun n'y est marqué lu, déplacé ou supprimé : {changing} commande de ce genre."
    )
    report.command("mailbox", "list", "--business", BUSINESS)
    unread = not any(b"\\Seen" in flags for flags in server.flags("INBOX"))
    return (kept, second, third, changing) == (expected, 0, 1, 0) and unread


def _sync(engine: Engine, instant: datetime) -> None:
    at(engine, instant)
    tick("inbox_sync")


def _kept(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(connection.execute(_COUNTS).mappings().one()["emails"])


def _what(row: Row) -> str:
    nature = _NATURES[str(row["nature"])]
    if row["direction"] == "out":
        nature = "envoyé"
    elif not nature and row["customer"]:
        nature = "d'un client"
    return f"{nature or 'courrier'}{', déjà là' if row['old'] else ''}"


def _notes(row: Row) -> str:
    notes = [_REPAIRS.get(fault, fault) for fault in row["faults"]]
    if not row["has_message_id"]:
        notes.append("sans Message-ID")
    if row["attachments"]:
        notes.append(f"joint : {row['attachments']}")
    return " ; ".join(notes)


def _changing(commands: list[str]) -> int:
    """How many commands could have changed something on the server."""
    words = (line.upper().removeprefix("UID ").split(" ") for line in commands)
    return sum(bool(word and word[0] in COMMANDS) for word in words)


@contextmanager
def _typed(line: str) -> Iterator[None]:
    """What a command reads from its standard input."""
    before, sys.stdin = sys.stdin, io.StringIO(f"{line}\n")
    try:
        yield
    finally:
        sys.stdin = before
