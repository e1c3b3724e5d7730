"""The Sent folder of an SMTP account, as proof that a message was accepted.

Many servers keep what they accept over SMTP (Gmail, Microsoft 365, most hosters on request). Our
Message-ID is ours alone, so that finding it there is proof; not finding it proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import closing
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from chalicelib.errors import ProviderError, SettingsError
from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.imap.refusals import fault
from chalicelib.providers.imap.session import Session, open_session

# A command line of 8,192 octets is what servers have to take (RFC 7162, 4); an id of ours has
# about 80, and some servers dislike deeply nested ORs.
AT_ONCE = 20
# A search is for parts of a header: what it finds is compared. No search of ours finds that many.
MOST_FOUND = 200

# Printable ASCII in angle brackets, without what a quoted string would have to escape.
_MESSAGE_ID = re.compile(r"<[!#-;=?-\[\]-~]{3,250}>")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_ADVICE = {
    "connection": "Le serveur IMAP du dossier Envoyés ne répond pas comme attendu : la recherche "
    "sera refaite.",
    "credentials": "Le serveur IMAP refuse l’utilisateur ou le mot de passe de SENT_FOLDER_URL.",
    "configuration": "Le certificat du serveur IMAP n’est pas celui de SENT_FOLDER_URL, ou "
    "l’autorité qui l’a signé n’est pas connue.",
    "folder": "Le dossier Envoyés de SENT_FOLDER_URL n’existe pas ou ne peut pas être lu : "
    "vérifiez son nom, en UTF-8 et avec %XX pour ce qui n’est pas ASCII.",
}
# What is told of the errors of a session.
_CODES = {"certificate": "configuration", "credentials": "credentials", "folder": "folder"}


class SentFolder:
    """`url` is `imaps://user:password@host:993/Folder`, percent-encoded UTF-8; `?ca_file=` names an
    authority of one's own. Without a folder, the one that the server marks as Sent. Times are in
    seconds. Raises `SettingsError`."""

    def __init__(self, url: str, *, connect_timeout: float = 10, call_timeout: float = 60) -> None:
        self._account, self._folder = _parsed(url)
        self._connect_timeout = connect_timeout
        self.call_timeout = call_timeout  # of one `find`, once connected

    def find(self, message_ids: Collection[str]) -> set[str]:
        """Those of these Message-IDs (with their angle brackets) that the folder holds, over one
        connection that is closed at the end. Reads only. Raises `ProviderError`, never permanent:
        nothing is then known about any of them."""
        asked = sorted(i for i in set(message_ids) if _MESSAGE_ID.fullmatch(i))
        if not asked:
            return set()
        try:
            session = open_session(
                self._account,
                seconds=self._connect_timeout + self.call_timeout,
                connect_timeout=self._connect_timeout,
                read_timeout=self.call_timeout,
            )
            with closing(session):
                session.open(self._folder or _usual(session))
                found: set[str] = set()
                for start in range(0, len(asked), AT_ONCE):
                    found |= _search(session, asked[start : start + AT_ONCE])
        except ImapError as error:
            raise _error(_CODES.get(error.code, "connection")) from error
        return found & set(asked)


def _usual(session: Session) -> str:
    for folder in session.folders():
        if folder.special == "sent":
            return folder.path
    raise fault("folder")


def _search(session: Session, message_ids: list[str]) -> set[str]:
    criteria = "OR " * (len(message_ids) - 1)
    criteria += " ".join(f'HEADER Message-ID "{message_id}"' for message_id in message_ids)
    uids = session.search(criteria.encode())[-MOST_FOUND:]
    texts = [one.header for one in session.headers(uids, only="MESSAGE-ID") if one.header]
    return {found for text in texts for found in _ids(text.decode("ascii", "replace"))}


def _ids(header: str) -> list[str]:
    """What stands in angle brackets; a server may have folded the line."""
    return _MESSAGE_ID.findall("".join(header.split()))


def _error(code: str) -> ProviderError:
    return ProviderError("imap", _ADVICE[code], permanent=False, code=code)


def _parsed(url: str) -> tuple[ImapAccount, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        folder = unquote(parts.path.removeprefix("/"), errors="strict")
    except ValueError:
        raise _unusable() from None  # its message quotes the URL, with the password
    if not _usable(parts) or not options.keys() <= {"ca_file"} or not folder.isprintable():
        raise _unusable()
    tls = parts.scheme == "imaps"
    account = ImapAccount(
        host=parts.hostname or "",
        port=port or (993 if tls else 143),
        username=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
        security="tls" if tls else "none",
        ca_file=options.get("ca_file"),
        private_allowed=True,  # whoever wrote it runs this deployment
    )
    return account, folder


def _usable(parts: SplitResult) -> bool:
    encrypted = parts.scheme == "imaps" or (parts.scheme == "imap" and parts.hostname in _LOOPBACK)
    return encrypted and bool(parts.hostname and parts.username and parts.password)


def _unusable() -> SettingsError:
    return SettingsError(
        "SENT_FOLDER_URL illisible : attendu imaps://utilisateur:motdepasse@serveur:993/Dossier. "
        "Dans le mot de passe et le dossier, les caractères spéciaux s’écrivent %XX."
    )
