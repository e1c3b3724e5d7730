"""A business's mailboxes: the database, a store, a real server, and what a run reads of it."""

from __future__ import annotations

import imaplib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from imapclient.imap_utf7 import decode
from sqlalchemy import Engine, text

from chalicelib.domain.inbox.outcomes import record
from chalicelib.domain.inbox.settle import settle
from chalicelib.mailboxes.report import Report
from chalicelib.mailboxes.sync import sync_mailboxes
from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.session import open_session
from chalicelib.providers.storage.folder import FolderStorage
from chalicelib.runner.deadline import Deadline
from sandbox.dovecot import PASSWORD
from tests.database import Database

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)

_STORED = """
SELECT f.path, encode(e.sha256, 'hex') AS sha256, p.flags
  FROM ponctuel.email_places p JOIN ponctuel.mailbox_folders f ON f.id = p.folder_id
  JOIN ponctuel.emails e ON e.id = p.email_id
 WHERE f.mailbox_id = :mailbox_id AND p.gone_at IS NULL
"""
# Folders that are not read.
UNREAD = ("Drafts", "Junk", "Trash")


def mail(number: int, body: str = "Bonjour", **headers: str) -> bytes:
    """A message with a Message-ID and a delivery of its own, unless `headers` say otherwise."""
    delivery = sha256(f"{number} {body}".encode()).hexdigest()[:12]
    fields = {
        "Received": f"from client.example by mx.example.fr id {delivery}; 10 Mar 2026 09:00 +0100",
        "Message-ID": f"<{number}@example.fr>",
        "Date": "Tue, 10 Mar 2026 09:00:00 +0100",
        "From": "Jean Client <jean@client.example>",
        "To": "compta@example.fr",
        "Subject": f"Message {number}",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return ("\r\n".join(lines) + f"\r\n\r\n{body} {number}\r\n").encode()


@dataclass
class World:
    database: Database
    folder: Path
    engine: Engine
    read_timeout: float = 20.0

    def add(self, port: int, user: str = "compta", **columns: Any) -> int:
        """A mailbox of the business B1, unless said otherwise; returns its id."""
        row = {
            "business_id": "B1",
            "address": f"{user}@example.fr",
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "auth": "password",
            "username": user,
            "credentials": "x",
            "next_sync_at": NOW,
            "created_at": NOW,
            **columns,
        }
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        with self.database.begin() as connection:
            found: int = connection.execute(
                text(f"INSERT INTO ponctuel.mailboxes ({names}) VALUES ({values}) RETURNING id"),
                row,
            ).scalar_one()
        return found

    def sync(
        self, *mailbox_ids: int, engine: Engine | None = None, seconds: float = 60, **options: Any
    ) -> Report:
        """One run over these mailboxes."""
        given = {
            "deadline": Deadline.after(seconds + 35),
            "open_session": self.open,
            "settle": settle,
            "record": partial(record, next_tick=NOW + timedelta(minutes=5)),
            **options,
        }
        storage = FolderStorage(self.folder)
        return sync_mailboxes(engine or self.engine, storage, mailbox_ids, **given)

    def open(self, row: Mapping[str, Any], seconds: float) -> Any:
        account = ImapAccount(
            host="127.0.0.1",
            port=row["port"],
            username=row["username"],
            secret=PASSWORD,
            security="none",
            private_allowed=True,
        )
        return open_session(
            account, seconds=seconds, connect_timeout=2, read_timeout=self.read_timeout
        )

    def stored(self, mailbox_id: int) -> dict[str, Counter[str]]:
        """By folder, the hashes of the messages that it shows, as often as it shows them."""
        found: dict[str, Counter[str]] = {}
        for row in self.rows(_STORED, mailbox_id=mailbox_id):
            found.setdefault(row["path"], Counter())[row["sha256"]] += 1
        return found

    def flags(self, mailbox_id: int) -> dict[tuple[str, str], Counter[tuple[str, ...]]]:
        """By folder and hash, the flags of each copy."""
        found: dict[tuple[str, str], Counter[tuple[str, ...]]] = {}
        for row in self.rows(_STORED, mailbox_id=mailbox_id):
            found.setdefault((row["path"], row["sha256"]), Counter())[tuple(row["flags"])] += 1
        return found

    def rows(self, query: str, **values: object) -> Sequence[Mapping[str, Any]]:
        with self.database.begin() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def one(self, query: str, **values: object) -> Any:
        return next(iter(self.rows(query, **values)[0].values()))

    def execute(self, statement: str, **values: object) -> None:
        with self.database.begin() as connection:
            connection.execute(text(statement), values)

    def raw(self, sha256: str) -> bytes:
        """What the store has under that hash."""
        (path,) = self.folder.rglob(f"{sha256}.eml")
        return path.read_bytes()


def there(
    port: int, user: str = "compta", *, but: Sequence[str] = UNREAD, flags: bool = False
) -> Any:
    """The same as an independent reader sees it, on the server; without empty folders. With
    `flags`, what `World.flags` gives."""
    found: dict[str, Counter[str]] = {}
    flagged: dict[tuple[str, str], Counter[tuple[str, ...]]] = {}
    with imaplib.IMAP4("127.0.0.1", port) as client:
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{PASSWORD}".encode())
        for line in client.list()[1]:
            assert isinstance(line, bytes)
            name = re.sub(rb'^\(.*?\) (?:"."|NIL) "?(.*?)"?$', rb"\1", line)
            path = decode(name)
            if path in but or b"\\noselect" in line.lower() or b"\\nonexistent" in line.lower():
                continue
            status, said = client.select(b'"%s"' % name, readonly=True)
            if status != "OK" or said == [b"0"]:  # Dovecot lists what has folders below it
                continue
            for answer in client.fetch("1:*", "(FLAGS BODY.PEEK[])")[1]:
                if isinstance(answer, tuple):
                    digest = sha256(answer[1]).hexdigest()
                    found.setdefault(path, Counter())[digest] += 1
                    told = imaplib.ParseFlags(answer[0])
                    kept = tuple(sorted({flag.decode() for flag in told} - {"\\Recent"}))
                    flagged.setdefault((path, digest), Counter())[kept] += 1
    return flagged if flags else found
