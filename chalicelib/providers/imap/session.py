"""The mail session of `port.py`, over IMAP4rev1 with what the server offers besides."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from chalicelib.providers.imap import folders as listing
from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.conversation import Conversation, Response, Take
from chalicelib.providers.imap.fetch import (
    Told,
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
from chalicelib.providers.imap.tokens import (
    LARGEST_UID,
    MOST_NUMBERS,
    Literal,
    Unreadable,
    moment,
    number,
    numbers,
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
        self._enabled = self._enable()

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
        return self._enabled or b"CONDSTORE" in self.capabilities

    def folders(self) -> Sequence[Folder]:
        statuses: dict[str, Opened] = {}
        if b"LIST-STATUS" in self.capabilities:
            more = b" HIGHESTMODSEQ" if self._condstore else b""
            returned = b" RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY%s))" % more
            if b"SPECIAL-USE" not in self.capabilities:
                returned = returned.replace(b"SPECIAL-USE ", b"")
            kept = self._run(b'LIST "" "*"' + returned, {b"LIST", b"STATUS"})
            for response in kept:
                if response.name == b"STATUS" and (status := status_of(response)):
                    statuses[status.path] = status
        else:
            kept = self._run(b'LIST "" "*"', {b"LIST"})
        named = listing.read(one for one in kept if one.name == b"LIST")
        self._names = {one.path: one.name for one in named}
        return [Folder(one.path, one.special, statuses.get(one.path)) for one in named]

    def open(self, path: str) -> Opened:
        self._opened = None
        name = listing.quoted(self._names.get(path) or listing.encoded(path))
        if name is None:
            raise fault("folder")
        condstore = b" (CONDSTORE)" if self._condstore and not self._enabled else b""
        kept, _ = self._conversation.run(
            b"EXAMINE " + name + condstore, keep={b"OK", b"EXISTS"}, stage="open"
        )
        self._opened = examined(path, kept)
        return self._opened

    def uids(self, *, since: date | None = None) -> Sequence[int]:
        return self.search(b"ALL" if since is None else b"SINCE " + _day(since))

    def search(self, criteria: bytes) -> list[int]:
        """The UIDs that match, ascending. Raises `ImapError`."""
        esearch = b"ESEARCH" in self.capabilities
        kept = self._run(
            b"UID SEARCH %s%s" % (b"RETURN (ALL) " if esearch else b"", criteria),
            {b"SEARCH", b"ESEARCH"},
        )
        found: set[int] = set()
        for response in kept:
            found.update(self._found(response))
            if len(found) > MOST_NUMBERS:
                raise self._conversation.nonsense()
        return sorted(found)

    def _found(self, response: Response) -> Iterable[int]:
        try:
            if response.name == b"ESEARCH":
                words = response.line.split()
                return numbers(words[words.index(b"ALL") + 1]) if b"ALL" in words[:-1] else ()
            # After the numbers there may be (MODSEQ 5).
            found = [int(word) for word in response.line.partition(b"(")[0].split()]
        except (Unreadable, ValueError) as error:
            raise self._conversation.nonsense() from error
        return [uid for uid in found if 0 < uid <= LARGEST_UID]

    def listed(self, first: int, last: int | None = None) -> Iterator[Listed]:
        gmail = b"X-GM-EXT-1" in self.capabilities
        items = b"(UID FLAGS RFC822.SIZE INTERNALDATE%s)" % (b" X-GM-MSGID" if gmail else b"")
        for window in self._windows(max(first, 1), last):
            found: dict[int, Listed] = {}
            for _, told in fetched(self._conversation, [window], items):
                uid = uid_of(told)
                # FLAGS alone is somebody else changing them meanwhile.
                if uid is None or uid < first or (last and uid > last) or uid in found:
                    continue
                if b"RFC822.SIZE" in told or b"INTERNALDATE" in told:
                    found[uid] = Listed(
                        uid,
                        number(told.get(b"RFC822.SIZE")),
                        flags_of(told),
                        moment(told.get(b"INTERNALDATE")),
                        number(told.get(b"X-GM-MSGID"), 2**64 - 1),
                    )
                if len(found) > MOST_NUMBERS:
                    raise self._conversation.nonsense()
            yield from (found[uid] for uid in sorted(found))

    def _windows(self, first: int, last: int | None) -> Iterator[bytes]:
        """UID sets that cover what is there, ascending, none with very many messages."""
        uidnext = self._opened.uidnext if self._opened else None
        if uidnext is not None and uidnext - first <= LINES_AT_ONCE:
            yield b"%d:%s" % (first, b"*" if last is None else b"%d" % last)
            return
        uids = self.search(b"UID %d:%s" % (first, b"*" if last is None else b"%d" % last))
        there = [uid for uid in uids if uid >= first]
        for uid_set, _ in uid_sets(there, most=LINES_AT_ONCE):
            yield uid_set

    def headers(self, uids: Sequence[int], *, only: str | None = None) -> Iterator[Headed]:
        """`only`: the name of the one field that is wanted."""
        part = b"HEADER" if only is None else b"HEADER.FIELDS (%s)" % only.encode()
        take = taking_headers(self._conversation)
        for uid, header, _ in self._bodies(uids, b"(UID BODY.PEEK[%s])" % part, take):
            yield Headed(uid, header.data)

    def messages(self, uids: Sequence[int], *, in_memory: int, folder: Path) -> Iterator[Fetched]:
        files: set[Path] = set()
        take = taking_messages(self._conversation, in_memory, folder, files)
        items = b"(UID FLAGS INTERNALDATE BODY.PEEK[])"
        try:
            for uid, whole, told in self._bodies(uids, items, take):
                if whole.file is not None:
                    files.discard(whole.file)
                date = moment(told.get(b"INTERNALDATE"))
                yield Fetched(
                    uid, whole.data, whole.file, whole.size, whole.sha256, flags_of(told), date
                )
        finally:
            for file in files:  # of what was cut, or not asked for
                file.unlink(missing_ok=True)

    def _bodies(
        self, uids: Sequence[int], items: bytes, take: Take
    ) -> Iterator[tuple[int, Literal, Told]]:
        wanted = set(uids)
        sets = (one for one, _ in uid_sets(uids, most=MESSAGES_AT_ONCE))
        for _, told in fetched(self._conversation, sets, items, take=take):
            uid = uid_of(told)
            bodies = [value for name, value in told.items() if name.startswith(b"BODY[")]
            if uid in wanted and bodies:
                wanted.discard(uid)
                body = bodies[0]
                yield uid, body if isinstance(body, Literal) else _short(text(body)), told

    def changes(self, modseq: int) -> Changes:
        if not self._condstore:
            raise fault("unavailable")
        more = b" (CHANGEDSINCE %d%s)" % (modseq, b" VANISHED" if self._enabled else b"")
        flags: dict[int, tuple[str, ...]] = {}
        vanished: list[int] | None = [] if self._enabled else None
        for response, told in fetched(self._conversation, [b"1:*"], b"(UID FLAGS)", modifiers=more):
            if response.name == b"VANISHED":
                if vanished is not None:
                    vanished = _with(vanished, response.line)
                continue
            self._note(flags, told)
        return Changes(flags, vanished)

    def flags(self, uids: Iterable[int] | None = None) -> Mapping[int, tuple[str, ...]]:
        flags: dict[int, tuple[str, ...]] = {}
        asked = None if uids is None else sorted(set(uids))
        sets = (
            [b"1:*"] if asked is None else (one for one, _ in uid_sets(asked, most=LINES_AT_ONCE))
        )
        for _, told in fetched(self._conversation, sets, b"(UID FLAGS)"):
            self._note(flags, told)
        if asked is not None:
            wanted = set(asked)
            return {uid: flags[uid] for uid in flags if uid in wanted}
        return flags

    def _note(self, flags: dict[int, tuple[str, ...]], told: Told) -> None:
        uid, now = uid_of(told), flags_of(told)
        if uid is not None and now is not None:
            flags[uid] = now
            if len(flags) > MOST_NUMBERS:
                raise self._conversation.nonsense()

    def close(self) -> None:
        with contextlib.suppress(ImapError):
            self._conversation.start(b"LOGOUT")
        self._conversation.wire.close()

    def _run(self, command: bytes, keep: Collection[bytes]) -> list[Response]:
        kept, _ = self._conversation.run(command, keep=keep)
        return kept


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _day(day: date) -> bytes:
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}".encode()


def _short(data: bytes | None) -> Literal:
    """A message that came as a string, or nil."""
    return Literal(data, len(data or b""))


def _with(gone: list[int], line: bytes) -> list[int] | None:
    """With those of a VANISHED response; None when they are too many to tell, or unreadable."""
    uid_set = line.split()[-1:]
    try:
        more = numbers(uid_set[0]) if uid_set else []
    except Unreadable:
        return None
    return gone + more if len(gone) + len(more) <= MOST_NUMBERS else None
