"""One folder that is open: what is new, what has changed, and what is gone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal

from chalicelib import logs
from chalicelib.mailboxes import folder_rows, folders, places, reading, retries
from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.sameness import same_messages
from chalicelib.mailboxes.turn import Turn
from chalicelib.providers.imap.port import Listed, Opened

# When there may be more that is new, UIDs are asked for first, and messages in parts.
FEW = 1000

# `rebased`: another UIDVALIDITY for the same messages and UIDs. `renumbered`: other UIDs.
Numbering = Literal["same", "rebased", "renumbered"]


def sync_folder(turn: Turn, known: KnownFolder, opened: Opened) -> bool:
    """Reads what the folder has to tell since it was last read. False when the time was up before
    the end: the cursor stands where the next run goes on. Raises what `sync_mailbox` raises."""
    look = turn.held.has_mail
    numbering = _number(turn, known, opened)
    if known.state == "parked" and numbering == "same":
        with turn.tools.desk.writing(turn.held) as connection:
            folder_rows.unpark(connection, known)
    before, modseq = known.seen_exists, known.highestmodseq
    moved = numbering == "renumbered" or (before is None and known.resets > 0)
    # Read from the start in one go, everything that is there has been seen.
    whole = known.last_uid == 0
    new = 0
    for total, listed in _new(turn, known, opened):
        new += total
        if not reading.take_in(turn, known, listed, cursor=True, moved=moved, look=look):
            return False
    checked = whole
    if not whole:
        expected = None if before is None else before + new
        checked = _follow(turn, known, opened, expected, modseq)
        if turn.over():
            return False
    with turn.tools.desk.writing(turn.held) as connection:
        gone = folder_rows.settle(connection, known, opened, checked=checked, reset=before is None)
    turn.counts["deleted"] += gone
    return True


def _number(turn: Turn, known: KnownFolder, opened: Opened) -> Numbering:
    """Sees to it that `known` has the server's UIDVALIDITY, or one of ours where there is none."""
    stable = opened.uidvalidity
    if known.uidvalidity is None:
        with turn.tools.desk.writing(turn.held) as connection:
            folder_rows.reset(connection, known, stable or -1, same=False, resets=0)
        return "same"
    if stable is not None and stable == known.uidvalidity:
        return "same"
    with turn.tools.desk.transaction() as connection:
        kept = places.known(connection, known)
    same = same_messages(turn.session, kept)
    if stable is None and known.uidvalidity < 0 and (same or not kept):
        return "same"
    uidvalidity = stable or min(known.uidvalidity, 0) - 1
    resets = folders.resets_with(known, turn.held.now)
    with turn.tools.desk.writing(turn.held) as connection:
        folder_rows.reset(connection, known, uidvalidity, same=same, resets=resets)
    turn.counts["resets"] += 1
    where = {"mailbox_id": turn.held.id, "folder_id": known.id}
    logs.warning("uidvalidity_changed", same=same, resets=resets, **where)
    return "rebased" if same else "renumbered"


def _new(turn: Turn, known: KnownFolder, opened: Opened) -> Iterator[tuple[int, Sequence[Listed]]]:
    """What is above the cursor, in parts: how many there are, and those among them to read."""
    since = turn.since
    may_be_new = opened.exists - (known.seen_exists or 0)
    if known.last_uid > 0 and known.seen_exists is not None and may_be_new <= FEW:
        listed = sorted(turn.session.listed(known.last_uid + 1), key=lambda one: one.uid)
        yield (
            len(listed),
            [
                one
                for one in listed
                if since is None or one.internal_date is None or one.internal_date.date() >= since
            ],
        )
        return
    uids = turn.session.uids(since=since)
    for listed in reading.listed_from(turn, uids[bisect_right(uids, known.last_uid) :]):
        yield len(listed), listed


def _follow(
    turn: Turn, known: KnownFolder, opened: Opened, expected: int | None, modseq: int | None
) -> bool:
    """Changes of what was known. Returns whether all places were compared with the server's."""
    told = False
    if modseq is not None and opened.highestmodseq is not None:
        told = opened.highestmodseq >= modseq  # or the server has begun to count anew
        if opened.highestmodseq > modseq:
            expected = _changes(turn, known, modseq, expected)
    if folders.to_compare(known, opened, turn.held.now, expected=expected, told=told):
        return _compare(turn, known, opened, told=told)
    return False


def _changes(turn: Turn, known: KnownFolder, modseq: int, expected: int | None) -> int | None:
    changes = turn.session.changes(modseq)
    flagged = gone = 0
    if changes.flags or changes.vanished:
        with turn.tools.desk.writing(turn.held) as connection:
            if changes.flags:
                flagged = places.flag(connection, known, changes.flags)
            if changes.vanished:
                gone = places.vanish(connection, known, changes.vanished)
    turn.counts.update(flags=flagged, deleted=gone)
    return None if expected is None else expected - gone


def _compare(turn: Turn, known: KnownFolder, opened: Opened, *, told: bool) -> bool:
    uids = turn.session.uids()
    if opened.exists and not uids:
        return False  # it has just said otherwise
    flags = None if told else turn.session.flags()
    with turn.tools.desk.writing(turn.held) as connection:
        found = places.compare(connection, known, uids, flags)
    turn.counts.update(deleted=found.gone, flags=found.flagged)
    unknown = found.unknown
    if unknown and turn.since is not None:
        unknown = sorted(set(unknown) & set(turn.session.uids(since=turn.since)))
    return all(
        reading.take_in(turn, known, listed, cursor=False, moved=False, look=True)
        for listed in reading.listed_from(turn, unknown)
    )


def try_again(turn: Turn, known: KnownFolder) -> None:
    """The messages that could not be read, one by one."""
    turn.session.open(known.path)
    for uid in known.troubles:
        if turn.over():
            return
        listed = [one for one in turn.session.listed(uid, uid) if one.uid == uid]
        if listed:
            reading.take_in(turn, known, listed, cursor=False, moved=False, look=False)
        else:
            with turn.tools.desk.writing(turn.held) as connection:
                retries.no_trouble(connection, known, [uid])
