"""Mailboxes as small businesses have them, on a Dovecot of the benchmark's own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from random import Random

from cryptography.fernet import Fernet
from imapclient import IMAPClient
from sqlalchemy import Engine, text

from chalicelib.mailboxes.credentials import Keyring, Password
from sandbox.dovecot import PASSWORD, DovecotSandbox

_WORDS = (
    "bonjour devis facture chantier virement menuiserie rendez-vous jeudi merci cordialement "
    "règlement échéance fenêtre porte livraison pièce jointe société adresse téléphone réponse"
).split()
_HTML = '<p style="font-family: Arial, sans-serif; font-size: 14px">%s</p>'
# Of ten: eight with text and HTML (one of them with an attachment), two of text only.
_WITH_ATTACHMENT, _TEXT_ONLY = 0.1, 0.2
LARGEST_ATTACHMENT = 200_000
BODIES = 300
# UIDs of one command: Dovecot takes 64 kB.
LINE = 1_000
_TOKEN = b"NUMBER-OF-IT"
_START = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)

_ADD = text("""
INSERT INTO ponctuel.mailboxes (business_id, address, host, port, security, auth, username,
       credentials, created_at, next_sync_at, owner_email)
SELECT 'B1', n.username || '@menuiserie.example', '127.0.0.1', :port, 'none', 'password',
       n.username, n.credentials, ponctuel.clock(), ponctuel.clock(), 'bench@menuiserie.example'
  FROM unnest(CAST(:users AS text[]), CAST(:credentials AS text[])) AS n(username, credentials)
""")


def mails(count: int, seed: int = 1) -> Iterator[bytes]:
    """E-mails with customers of the benchmark's businesses, in conversations of a few, as a mail
    server stores them. Their bodies are some hundred, each with a line and an attachment of its
    own."""
    draw = Random(seed)
    different = min(BODIES, count)
    bodies = [_body(draw, nth / different) for nth in range(different)]
    earlier: list[str] = []
    for number in range(count):
        own = f"<{draw.getrandbits(64):x}.{number}@client.example>"
        cited = draw.choice(earlier) if earlier and draw.random() < 0.5 else ""
        earlier = [*earlier[-50:], own]
        header = (
            f"Received: from mx{number % 7}.client.example by mx.example.fr id {number:x}\r\n"
            f"Message-ID: {own}\r\n"
            f"Date: {format_datetime(_START + timedelta(minutes=20 * number))}\r\n"
            f"From: =?utf-8?q?H=C3=B4tel?= de la Gare <c{draw.randrange(5000)}@client.example>\r\n"
            "To: Menuiserie <contact@menuiserie.example>\r\n"
            f"Subject: =?utf-8?q?Devis_n=C2=B0_{draw.randrange(10_000)}?=\r\n"
        )
        if cited:
            header += f"In-Reply-To: {cited}\r\nReferences: {cited}\r\n"
        body = draw.choice(bodies).replace(_TOKEN, f"{number:010d}".encode())
        yield header.encode() + body.replace(_LINE, b64encode(_pdf(number)), 1)


def _body(draw: Random, place: float) -> bytes:
    """With its MIME fields."""
    mail = EmailMessage()
    lines = [" ".join(draw.choices(_WORDS, k=12)) for _ in range(14)] + [_TOKEN.decode()]
    mail.set_content("\n".join(lines))
    if place >= _TEXT_ONLY:
        mail.add_alternative("\n".join(_HTML % line for line in lines), subtype="html")
    if place >= 1 - _WITH_ATTACHMENT:
        content = _pdf(0) + draw.randbytes(draw.randrange(20_000, LARGEST_ATTACHMENT))
        mail.add_attachment(content, maintype="application", subtype="pdf", filename="devis.pdf")
    return mail.as_bytes().replace(b"\n", b"\r\n")


def _pdf(number: int) -> bytes:
    """The first line of an attachment, as base64 cuts it."""
    return f"%PDF-1.7 {number:048d}".encode()


_LINE = b64encode(_pdf(0))


def large(size: int) -> bytes:
    """One e-mail of so many bytes, nearly all of them an attachment's."""
    head = (
        b"Message-ID: <large@client.example>\r\nFrom: c1@client.example\r\n"
        b"To: contact@menuiserie.example\r\nSubject: Plans\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: application/pdf; name=plans.pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=plans.pdf\r\n\r\n"
    )
    line = b"QUJD" * 19 + b"\r\n"
    return head + line * (size // len(line))


def index(dovecot: DovecotSandbox, user: str) -> None:
    """Has the server find out what it keeps of each message (the size in lines of CRLF is dear),
    so that whoever reads first does not wait for it."""
    with IMAPClient("127.0.0.1", dovecot.port, ssl=False, timeout=600) as client:
        client.plain_login(user, PASSWORD)
        client.select_folder("INBOX", readonly=True)
        uids = client.search()
        for start in range(0, len(uids), LINE):
            client.fetch(uids[start : start + LINE], ["RFC822.SIZE", "INTERNALDATE", "FLAGS"])


def add(engine: Engine, dovecot: DovecotSandbox, users: Sequence[str]) -> str:
    """These users' mailboxes, in place of all that was there; returns the key of their
    credentials."""
    key = Fernet.generate_key().decode()
    credentials = [Keyring((key,)).encrypt(Password(PASSWORD)) for _ in users]
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE ponctuel.mailboxes CASCADE")
        connection.execute(
            _ADD, {"port": dovecot.port, "users": list(users), "credentials": credentials}
        )
    return key


def make_due(engine: Engine) -> None:
    """A slot of the job is due, and no run has been."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            "TRUNCATE ponctuel.runs, ponctuel.run_items, ponctuel.run_errors, ponctuel.job_state"
        )
        connection.exec_driver_sql(
            "INSERT INTO ponctuel.job_state (job, zone, covered_through) "
            "VALUES ('inbox_sync', 'Europe/Paris', ponctuel.clock() - interval '6 minutes')"
        )
        connection.exec_driver_sql("CHECKPOINT")
