"""The mail session of `port.py`, over IMAP4rev1 with what the server offers besides."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from chalicelib.providers.imap import folders as listing
from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.changes import FlagsByUid, with_vanished
from chalicelib.providers.imap.conversation import Conversation, Response, Take
from chalicelib.providers.imap.fetch import (
    fetched,
    flags_of,
    taking_headers,
    taking_messages,
    uid_of,
)
from chalicelib.providers.imap.login import log_in
from chalicelib.providers.imap.opened import examined
from chalicelib.providers.imap.opened import status as status_of
from chalicelib.providers.imap.port import (
    Changes,
    Fetched,
    Folder,
    Headed,
    ImapError,
    Listed,
    Opened,
)
from chalicelib.providers.imap.refusals import fault
from chalicelib.providers.imap.search import found
from chalicelib.providers.imap.search import since as since_day
from chalicelib.providers.imap.tokens import (
    Literal,
    moment,
    number,
    text,
    uid_sets,
)
from chalicelib.providers.imap.wire import connect

# UIDs of one command. Few enough that a command left half-way is soon read to its end.
MESSAGES_AT_ONCE = 200
LINES_AT_ONCE = 2000


def open_session(
    account: ImapAccount,
    *,
    seconds: float,
    connect_timeout: float = 10,
    read_timeout: float = 60,
) -> Session:
    """Connected and logged in. Everything ends `seconds` from now, whatever the server does; each
    wait for it ends after `read_timeout` seconds. Raises `ImapError`."""
    wire = connect(
        account, connect_timeout=connect_timeout, seconds=seconds, read_timeout=read_timeout
    )
    try:
        conversation = Conversation(wire)
        capabilities = log_in(conversation, account)
        return Session(conversation, capabilities)
    except BaseException:
        wire.close()
        raise


class Session:
    """See `MailSession`. `capabilities` are in capitals."""

    def __init__(self, conversation: Conversation, capabilities: frozenset[bytes]) -> None:
        self.capabilities = capabilities
        self._conversation = conversation
        self._names: dict[str, bytes] = {}
        self._opened: Opened | None = None
        self._qresync = self._enable()

    def _enable(self) -> bool:
        """Whether QRESYNC is on."""
        if not {b"ENABLE", b"QRESYNC"} <= self.capabilities:
            return False
        try:
            kept, _ = self._conversation.run(b"ENABLE QRESYNC", keep={b"ENABLED"})
        except ImapError as error:
            if error.code == "unavailable":  # NO: it is offered, and not there
                return False
            raise
        return any(b"QRESYNC" in response.line.upper().split() for response in kept)

    @property
    def _condstore(self) -> bool:
        return self._qresync or b"CONDSTORE" in self.capabilities

    def folders(self) -> Sequence[Folder]:
        kept = self._listing()
        named = listing.read(one for one in kept if one.name == b"LIST")
        told = [status for one in kept if one.name == b"STATUS" and (status := status_of(one))]
        statuses = {status.path: status for status in told}
        self._names = {one.path: one.name for one in named}
        return [Folder(one.path, one.special, statuses.get(one.path)) for one in named]

    def _listing(self) -> list[Response]:
        if b"LIST-STATUS" in self.capabilities:
            special = b"SPECIAL-USE " if b"SPECIAL-USE" in self.capabilities else b""
            modseq = b" HIGHESTMODSEQ" if self._condstore else b""
            told = b"%sSTATUS (MESSAGES UIDNEXT UIDVALIDITY%s)" % (special, modseq)
            # A server may offer it and not know it.
            with contextlib.suppress(ImapError):
                return self._run(b'LIST "" "*" RETURN (%s)' % told, {b"LIST", b"STATUS"})
        return self._run(b'LIST "" "*"', {b"LIST"})

    def open(self, path: str) -> Opened:
        self._opened = None
        name = listing.quoted(self._names.get(path) or listing.encoded(path))
        if name is None:
            raise fault("folder")
        condstore = b" (CONDSTORE)" if self._condstore and not self._qresync else b""
        kept, _ = self._conversation.run(
            b"EXAMINE " + name + condstore, keep={b"OK", b"EXISTS"}, stage="open"
        )
        self._opened = examined(path, kept)
        return self._opened

    def uids(self, *, since: date | None = None) -> Sequence[int]:
        return self.search(b"ALL" if since is None else since_day(since))

    def search(self, criteria: bytes) -> list[int]:
        """The UIDs that match, ascending. Raises `ImapError`."""
        esearch = b"ESEARCH" in self.capabilities
        kept = self._run(
            b"UID SEARCH %s%s" % (b"RETURN (ALL) " if esearch else b"", criteria),
            {b"SEARCH", b"ESEARCH"},
        )
        return found(kept)

    def listed(self, first: int, last: int | None = None) -> Iterator[Listed]:
        gmail = b"X-GM-EXT-1" in self.capabilities
        items = b"(UID FLAGS RFC822.SIZE INTERNALDATE%s)" % (b" X-GM-MSGID" if gmail else b"")
        for window in self._windows(max(first, 1), last):
            lines: dict[int, Listed] = {}
            for _, told in fetched(self._conversation, [window], items):
                uid = uid_of(told)
                # FLAGS alone is somebody else changing them meanwhile.
                if uid is None or uid < first or (last and uid > last) or uid in lines:
                    continue
                if b"RFC822.SIZE" in told or b"INTERNALDATE" in told:
                    lines[uid] = Listed(
                        uid,
                        number(told.get(b"RFC822.SIZE")),
                        flags_of(told),
                        moment(told.get(b"INTERNALDATE")),
                        number(told.get(b"X-GM-MSGID"), 2**64 - 1),
                    )
                if len(lines) > 2 * LINES_AT_ONCE:
                    raise self._conversation.nonsense()
            yield from (lines[uid] for uid in sorted(lines))

    def _windows(self, first: int, last: int | None) -> Iterator[bytes]:
        """UID sets that cover what is there, ascending, none with very many messages."""
        uidnext = self._opened.uidnext if self._opened else None
        if uidnext is not None and uidnext - first <= LINES_AT_ONCE:
            yield b"%d:%s" % (first, b"*" if last is None else b"%d" % last)
            return
        uids = self.search(b"UID %d:%s" % (first, b"*" if last is None else b"%d" % last))
        there = [uid for uid in uids if uid >= first]
        yield from uid_sets(there, most=LINES_AT_ONCE)

    def headers(self, uids: Sequence[int], *, only: str | None = None) -> Iterator[Headed]:
        """`only`: the name of the one field that is wanted."""
        part = b"HEADER" if only is None else b"HEADER.FIELDS (%s)" % only.encode()
        take = taking_headers(self._conversation)
        for uid, header in self._bodies(uids, b"(UID BODY.PEEK[%s])" % part, take):
            yield Headed(uid, header.data)

    def messages(self, uids: Sequence[int], *, in_memory: int, folder: Path) -> Iterator[Fetched]:
        files: set[Path] = set()
        take = taking_messages(self._conversation, in_memory, folder, files)
        try:
            for uid, whole in self._bodies(uids, b"(UID BODY.PEEK[])", take):
                if whole.file is not None:
                    files.discard(whole.file)
                yield Fetched(uid, whole.data, whole.file, whole.size, whole.sha256)
        finally:
            for file in files:  # of what was cut, or not asked for
                file.unlink(missing_ok=True)

    def _bodies(
        self, uids: Sequence[int], items: bytes, take: Take
    ) -> Iterator[tuple[int, Literal]]:
        wanted = set(uids)
        nil = set[int]()
        sets = uid_sets(uids, most=MESSAGES_AT_ONCE)
        for response, told in fetched(self._conversation, sets, items, take=take):
            if response.name == b"VANISHED":
                for gone in with_vanished([], response) or ():
                    nil.discard(gone)
                continue
            uid = uid_of(told)
            bodies = [value for name, value in told.items() if name.startswith(b"BODY[")]
            if uid not in wanted or uid is None or not bodies:
                continue
            wanted.discard(uid)
            if bodies[0] is None:
                # Dovecot gives nil for what was expunged meanwhile, and says so at the end.
                nil.add(uid)
                continue
            body = bodies[0]
            yield uid, body if isinstance(body, Literal) else _short(text(body))
        for uid in sorted(nil):
            yield uid, Literal(None, 0)

    def changes(self, modseq: int) -> Changes:
        if not self._condstore:
            raise fault("unavailable")
        more = b" (CHANGEDSINCE %d%s)" % (modseq, b" VANISHED" if self._qresync else b"")
        flags = FlagsByUid()
        vanished: list[int] | None = [] if self._qresync else None
        for response, told in fetched(self._conversation, [b"1:*"], b"(UID FLAGS)", modifiers=more):
            if response.name == b"VANISHED":
                vanished = with_vanished(vanished, response)
            else:
                flags.note(told)
        for uid in vanished or ():  # what was expunged since the folder was opened
            flags.by_uid.pop(uid, None)
        return Changes(flags.by_uid, vanished)

    def flags(self, uids: Iterable[int] | None = None) -> Mapping[int, tuple[str, ...]]:
        flags = FlagsByUid()
        asked = None if uids is None else sorted(set(uids))
        sets = [b"1:*"] if asked is None else uid_sets(asked, most=LINES_AT_ONCE)
        for _, told in fetched(self._conversation, sets, b"(UID FLAGS)"):
            flags.note(told)
        if asked is None:
            return flags.by_uid
        return {uid: flags.by_uid[uid] for uid in asked if uid in flags.by_uid}

    def close(self) -> None:
        with contextlib.suppress(ImapError):
            self._conversation.start(b"LOGOUT")
        self._conversation.wire.close()

    def _run(self, command: bytes, keep: Collection[bytes]) -> list[Response]:
        kept, _ = self._conversation.run(command, keep=keep)
        return kept


def _short(data: bytes | None) -> Literal:
    """A message that came as a string, or nil."""
    return Literal(data, len(data or b""))
