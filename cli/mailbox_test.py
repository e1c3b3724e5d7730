"""`mailbox test`: what its server says, asked as a sync would ask it, and nothing written."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from chalicelib.mailboxes import directory as mailboxes
from chalicelib.mailboxes.directory import Row
from chalicelib.mailboxes.folders import chosen
from chalicelib.mailboxes.opening import Opener
from chalicelib.providers.imap.port import Folder, ImapError, MailSession
from cli import output
from cli.source import Source

# The whole conversation; counting what came since a day takes long in folders of a million.
SECONDS = 120.0


def tried(source: Source, number: int) -> Row:
    """Address and host, and of each folder: its `messages` on the server (None: not to be known),
    whether it would be `read`, how many of them `to_read`, and the French `error`. Raises
    `PonctuelError` when nobody is let in."""
    opener = Opener(source.engine, source.settings)
    with source.transaction() as connection:
        row = mailboxes.to_open(connection, number)
    session = opener(row, SECONDS)
    try:
        found = session.folders()
        read = {folder.path for folder in chosen(found, row["folders"])}
        folders = [_looked_at(session, one, row, read=one.path in read) for one in found]
    finally:
        session.close()
    return {
        "id": row["id"],
        "address": row["address"],
        "host": row["host"],
        "since": row["since"],
        "folders": folders,
    }


def _looked_at(session: MailSession, folder: Folder, row: Row, *, read: bool) -> Row:
    looked: Row = {
        "path": folder.path,
        "special": folder.special,
        "read": read,
        "messages": None,
        "to_read": None,
        "error": None,
    }
    try:
        # Also where the list has its status: the test is whether it can be opened.
        status = session.open(folder.path) if read else folder.status
        if status is not None:
            looked["messages"] = status.exists
        if read and status is not None:
            since = row["since"]
            looked["to_read"] = len(session.uids(since=since)) if since else status.exists
    except ImapError as error:
        if error.code != "folder":
            raise
        looked["error"] = str(error)
    return looked


def show(screen: Console, data: dict[str, Any]) -> None:
    output.line(screen, f"{data['host']} donne accès à {data['address']}.", "green")
    output.table(
        screen,
        ("dossier", "genre", "lu", "messages", "à lire", "erreur"),
        [
            (one["path"], one["special"], one["read"], one["messages"], one["to_read"],
             one["error"])
            for one in data["folders"]
        ],
        long="erreur",
        shorten=("dossier",),
    )  # fmt: skip
    count = sum(one["to_read"] or 0 for one in data["folders"])
    folders = output.plural(sum(one["read"] for one in data["folders"]), "dossier", "dossiers")
    messages = output.plural(count, "message", "messages")
    if data["since"]:
        received = output.plural(count, "message reçu", "messages reçus")
        messages = f"{received} depuis le {data['since']:%d/%m/%Y}"
    output.line(screen, f"{messages} dans {folders}. Rien n'a été changé.")
