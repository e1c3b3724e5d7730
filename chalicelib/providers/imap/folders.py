"""The folders of a mailbox: what LIST answers, names included."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from imapclient.imap_utf7 import decode, encode

from chalicelib.providers.imap.conversation import Response
from chalicelib.providers.imap.port import Special
from chalicelib.providers.imap.tokens import text

# RFC 6154.
_ATTRIBUTES: dict[bytes, Special] = {
    b"\\ALL": "all",
    b"\\ARCHIVE": "archive",
    b"\\DRAFTS": "drafts",
    b"\\JUNK": "junk",
    b"\\SPAM": "junk",  # XLIST's
    b"\\SENT": "sent",
    b"\\TRASH": "trash",
}
# As Outlook, Thunderbird, Apple Mail, Gmail, Zimbra, Roundcube and French hosters call them.
_NAMES: dict[Special, tuple[str, ...]] = {
    "sent": (
        *("sent", "sent items", "sent messages", "sent mail", "sent-mail", "envoyés"),
        *("éléments envoyés", "messages envoyés", "objets envoyés", "courrier envoyé"),
        *("courriers envoyés", "mails envoyés", "elements envoyes", "envoyes"),
    ),
    "drafts": ("drafts", "draft", "brouillons", "brouillon"),
    "junk": (
        *("junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk mail", "indésirables"),
        *("courrier indésirable", "courriers indésirables", "messages indésirables", "pourriel"),
        *("pourriels", "quarantaine"),
    ),
    "trash": (
        *("trash", "deleted items", "deleted messages", "deleted", "bin", "corbeille"),
        *("éléments supprimés", "messages supprimés", "elements supprimes", "poubelle"),
    ),
    "archive": ("archive", "archives", "archivés"),
    "all": ("all mail", "tous les messages"),
}
_BY_NAME = {name: special for special, names in _NAMES.items() for name in names}
_GMAIL = ("[gmail]", "[google mail]")
_NOT_THERE = frozenset({b"\\NOSELECT", b"\\NONEXISTENT"})


@dataclass(frozen=True)
class Named:
    """A folder as the server lists it. `name` is what commands call it, `path` what people do."""

    name: bytes
    path: str
    delimiter: str
    special: Special | None


def read(responses: Iterable[Response]) -> list[Named]:
    """Those that can be selected, once each, with what they are for; what cannot be read is left
    out. Raises `ImapError` for what is not IMAP."""
    found: dict[str, Named] = {}
    for response in responses:
        values = response.values()
        if len(values) < 3 or not isinstance(values[0], list):
            continue
        attributes = {one.upper() for one in values[0] if isinstance(one, bytes)}
        # An atom NIL is also how a folder called NIL is written by those who do not quote.
        name = text(values[2]) if values[2] is not None else b"NIL"
        if not name or attributes & _NOT_THERE:
            continue
        path = decoded(name)
        specials = (_ATTRIBUTES[one] for one in sorted(attributes) if one in _ATTRIBUTES)
        special: Special | None = "inbox" if path.upper() == "INBOX" else next(specials, None)
        delimiter = (text(values[1]) or b"").decode("ascii", "replace")
        found.setdefault(path, Named(name, path, delimiter, special))
    return _completed(list(found.values()))


def _completed(folders: list[Named]) -> list[Named]:
    """For each purpose that the server tells of no folder, those with a well-known name."""
    told = {folder.special for folder in folders}
    return [
        folder
        if folder.special or (special := _by_name(folder)) is None or special in told
        else Named(folder.name, folder.path, folder.delimiter, special)
        for folder in folders
    ]


def _by_name(folder: Named) -> Special | None:
    """Only at the top, in INBOX or in Gmail's own folder: elsewhere, it is somebody's filing."""
    path = unicodedata.normalize("NFC", folder.path).casefold()
    *above, last = path.split(folder.delimiter) if folder.delimiter else [path]
    special = _BY_NAME.get(last)
    if special == "all":
        return special if above in [[one] for one in _GMAIL] else None
    return special if above in [[], ["inbox"], *([one] for one in _GMAIL)] else None


def decoded(name: bytes) -> str:
    """From modified UTF-7; or, where it is not that, from UTF-8. Any name gives a path."""
    try:
        path = decode(name) if name.isascii() else name.decode()
    except (ValueError, LookupError):  # binascii's errors are ValueErrors
        path = name.decode("utf-8", "replace")
    return str(path).encode("utf-8", "replace").decode().replace("\0", "�")


def encoded(path: str) -> bytes:
    """To modified UTF-7, as commands want it. It may still hold what has to be quoted."""
    return bytes(encode(path))


def quoted(name: bytes) -> bytes | None:
    """As a string of a command; None when it cannot be one line."""
    if b"\r" in name or b"\n" in name or b"\0" in name:
        return None
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
