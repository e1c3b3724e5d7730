"""The demo's accounts: two people ask to be erased; one changes their mind, the other is gone, and
what the law keeps of the business is in the archive."""

from __future__ import annotations

import re
import urllib.request
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts import requesting
from sandbox import report, terminal
from sandbox.demo_steps import PARIS, at, paris, tick
from sandbox.environment import Environment
from sandbox.sample_users import ASSISTANT, OWNER

JOB = "account_deletions"
# Closed at the end: it has nothing to do with the other chapters.
BUSINESS = "B9"
EMAIL = "claire@atelier-colin.example"
_FILE = f"{BUSINESS}/profil.png"

_OPEN = """
INSERT INTO ponctuel.businesses (id, name, sender_name, sender_email, siret)
VALUES (:business, 'Atelier Colin', 'Atelier Colin', 'bonjour@atelier-colin.example',
        '00000000000017');
INSERT INTO ponctuel.users (business_id, id, name, email, role, created_at)
VALUES (:business, :owner, 'Claire Colin', :email, 'owner', '2025-09-01T08:00:00Z');
INSERT INTO ponctuel.user_tokens (business_id, id, user_id)
VALUES (:business, 'session', :owner);
INSERT INTO ponctuel.stored_files (business_id, id, user_id, storage_key)
VALUES (:business, 'profil', :owner, :file);
INSERT INTO ponctuel.customers (business_id, id, name, emails)
VALUES (:business, 'C1', 'Brasserie du Port', 'compta@brasserie-du-port.example');
INSERT INTO ponctuel.invoices
       (business_id, id, number, customer_id, status, issued_on, due_on, total, balance)
VALUES (:business, 'I1', 'AC-101', 'C1', 'paid', '2025-11-04', '2025-12-04', 840, 0),
       (:business, 'I2', 'AC-102', 'C1', 'paid', '2026-01-12', '2026-02-11', 1260, 0);
INSERT INTO ponctuel.go_lives (business_id, kind, at, by)
SELECT b.id, k.kind, ponctuel.clock(), 'demo'
  FROM (SELECT min(id) AS id FROM ponctuel.businesses UNION SELECT :business) b
 CROSS JOIN (VALUES ('*'), ('accounts.deletion_requested'), ('accounts.deletion_reminder'),
                    ('accounts.deletion_cancelled'), ('accounts.deletion_final')) k(kind)
    ON CONFLICT DO NOTHING
"""
_LETTERS = text("""
SELECT id FROM ponctuel.messages
 WHERE business_id = :business AND kind = :kind AND state = 'accepted' ORDER BY id DESC LIMIT 1
""")
_LINK = text("""
SELECT b.text FROM ponctuel.message_bodies b WHERE b.message_id = :message
""")
_OUT = text("""
SELECT count(*) FROM ponctuel.messages
 WHERE business_id = :business AND state IN ('accepted', 'delivered', 'failed')
""")
_STATES = text("""
SELECT business_id, state FROM ponctuel.account_deletions
 WHERE business_id IN (:first, :business) ORDER BY id
""")
_RECEIPTS = text("""
SELECT r.step, r.counts FROM ponctuel.erasure_receipts r
  JOIN ponctuel.account_deletions d ON d.id = r.deletion_id
 WHERE d.business_id = :business ORDER BY r.done_at, r.deletion_id, r.step
""")
_ARCHIVED = text("SELECT count(*) FROM ponctuel.accounting_archive WHERE business_id = :business")
_STEPS = {
    "revoke": "accès donnés par Google",
    "access": "accès, boîtes, fichiers",
    "archive": "factures mises en archive",
    "files": "ces documents, dans le stockage",
    "stripe": "client chez Stripe",
    "children": "tout ce qui dépend du compte",
    "tombstone": "trace, si une sauvegarde est restaurée",
    "parent": "le compte, l'entreprise, puis la preuve",
}


def accounts(engine: Engine, environment: Environment) -> tuple[bool, int]:
    """From Tuesday 17 March to Saturday 18 April. Whether one account was kept and the other is
    gone; and how many messages that had left the ledger has forgotten with it."""
    file = environment.documents / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x89PNG")
    at(engine, paris(17, 10))
    with engine.begin() as connection:
        first = _ask(connection)
    tick("deliver_messages")
    terminal.say(
        "Karim, de la menuiserie Perrin, et Claire, seule à l'Atelier Colin, demandent la "
        "suppression de leur compte. Chacun reçoit la date ; d'ici là, rien n'est effacé."
    )
    report.command("accounts", "list")
    _night(engine, 9)
    _morning(engine, 9)
    terminal.then("Une semaine avant, à 8 h, Karim reçoit :")
    reminder = _letter(engine, first, "accounts.deletion_reminder")
    report.letter(engine, reminder)
    _keep(engine, reminder)
    terminal.then("Il ouvre le lien et presse le bouton : son compte reste.")
    report.command("accounts", "show", ASSISTANT, "--business", first)
    _night(engine, 15)
    _morning(engine, 15)
    _night(engine, 17)
    tick("deliver_messages")
    with engine.begin() as connection:
        forgotten = connection.execute(_OUT, {"business": BUSINESS}).scalar_one()
    _night(engine, 18)
    with engine.begin() as connection:
        receipts = connection.execute(_RECEIPTS, {"business": BUSINESS}).all()
        states = connection.execute(_STATES, {"first": first, "business": BUSINESS}).all()
        archived = connection.execute(_ARCHIVED, {"business": BUSINESS}).scalar_one()
    terminal.then(
        "Claire laisse passer les deux rappels. Le 17 avril à 2 h son compte est verrouillé, un "
        "dernier message part ; la nuit suivante il est effacé, l'entreprise avec lui. Chaque "
        "étape a son reçu, qui compte et ne nomme personne :"
    )
    rows = [(_STEPS[step], _counted(counts)) for step, counts in receipts]
    report.listed("Les reçus", ("étape", "fait"), rows)
    terminal.then(
        "Il reste ce que la loi garde dix ans. Qui le lit donne sa raison, et c'est noté :"
    )
    report.command("archive", "list", "--reason", "démonstration")
    kept = [tuple(row) for row in states] == [(first, "cancelled"), (BUSINESS, "erased")]
    return kept and archived == 2 and not file.exists(), forgotten


def _ask(connection: Connection) -> str:
    """Two requests; returns the first business's id."""
    values = {"business": BUSINESS, "owner": OWNER, "email": EMAIL, "file": _FILE}
    for statement in _OPEN.split(";\n"):
        connection.execute(text(statement), values)
    first = str(connection.execute(text("SELECT min(id) FROM ponctuel.businesses")).scalar_one())
    for business, user in ((first, ASSISTANT), (BUSINESS, OWNER)):
        requesting.request(connection, user, business, by="user", days=30)
    return first


def _night(engine: Engine, day: int) -> None:
    """Of April. What was missed before needs no catching up."""
    at(engine, datetime(2026, 4, day, 2, 0, 5, tzinfo=PARIS))
    tick(JOB)


def _morning(engine: Engine, day: int) -> None:
    at(engine, datetime(2026, 4, day, 8, 0, 5, tzinfo=PARIS))
    tick("deliver_messages")


def _letter(engine: Engine, business: str, kind: str) -> int:
    with engine.begin() as connection:
        found = connection.execute(_LETTERS, {"business": business, "kind": kind})
        return int(found.scalar_one())


def _keep(engine: Engine, message: int) -> None:
    """Presses the button of the page to which the letter leads."""
    with engine.begin() as connection:
        content = connection.execute(_LINK, {"message": message}).scalar_one()
    found = re.search(r"http://127\.0\.0\.1:\d+/deletion/\S+", content)
    assert found is not None, "the letter has no link"
    pressed = urllib.request.Request(found[0], data=b"", method="POST")
    with urllib.request.urlopen(pressed, timeout=20) as page:
        page.read()


def _counted(counts: dict[str, int]) -> str:
    """A receipt in words. What is no table is counted by itself."""
    words = {"files": "document", "archived": "facture", "outside": "trace", "revoked": "accès"}
    tables = [count for name, count in counts.items() if count and name not in words]
    said = [_plural(counts[name], word) for name, word in words.items() if counts.get(name)]
    if tables:
        said.insert(0, f"{_plural(sum(tables), 'ligne')} de {_plural(len(tables), 'table')}")
    return ", ".join(said) or "rien"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 else ''}"
