"""Reading mailboxes on a Dovecot, against mbsync on the same one.

- First sync: everything fetched, stored, parsed, put into conversations, against mbsync, which
  stores it in a maildir.
- A poll that finds nothing new.
- Many mailboxes polled in one run; and what memory a run needs when one message is large.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from bench import mailbox
from bench.database import Server
from bench.mail_reader import PEAK, WARMED
from bench.measure import Measure
from bench.processes import REPORT, Took, processor_seconds, run
from bench.sample import Sample
from sandbox import dovecot as dovecots
from sandbox import mbsync
from sandbox.dovecot import PASSWORD, DovecotSandbox
from sandbox.dovecot_configuration import FOLDERS
from sandbox.mbsync import Mirror

BUSINESSES = Sample("inbox", 5_000, unpaid=5_000, due=5_000)
FIRST_SYNC, POLL, MANY_S, MEMORY_MB = 1.0, 1.0, 60.0, 256.0
# Folders that are not read, by either.
UNREAD = ("Drafts", "Junk", "Trash")


@dataclass(frozen=True)
class Size:
    """`mails` of the large mailbox; `polled` mailboxes with `each` mails; a message of `bytes`."""

    mails: int = 20_000
    polled: int = 200
    each: int = 20
    bytes: int = 60_000_000
    rounds: int = 3
    polls: int = 5


QUICK = Size(mails=200, polled=6, each=3, bytes=26_000_000, rounds=1, polls=1)


@dataclass(frozen=True)
class Reader:
    """The job with its database, its store and its mailboxes."""

    server: Server
    engine: Engine
    environment: Mapping[str, str]
    store: Path

    def run(self, *more: str) -> tuple[float, Took, int]:
        """By `bench.mail_reader`: seconds with the start of the process, what it took, and bytes
        at most. The database's seconds are those of all that it did."""
        mailbox.make_due(self.engine)
        os.sync()
        database = processor_seconds(self.server.pid())
        begun = time.perf_counter()
        said = run("bench.mail_reader", *more, environment=self.environment).splitlines()
        whole = time.perf_counter() - begun
        database = processor_seconds(self.server.pid()) - database
        told = {words[0]: words[1:] for words in map(str.split, said) if words}
        wall, own = map(float, told[REPORT])
        return whole, Took(wall, own, database=database), int(told[PEAK][0])

    def kept(self) -> int:
        """Places of e-mails that were parsed and settled."""
        with self.engine.begin() as connection:
            found: int = connection.execute(
                text(
                    "SELECT count(*) FROM ponctuel.email_places p "
                    "JOIN ponctuel.emails e ON e.id = p.email_id "
                    "WHERE e.settled_at IS NOT NULL AND e.state <> 'pending'"
                )
            ).scalar_one()
        return found


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """Against mbsync, in turns; nothing where Dovecot or mbsync is not installed."""
    if dovecots.absent() or mbsync.absent():
        return
    size = QUICK if quick else Size()
    with DovecotSandbox(users=("large", *users(size))) as dovecot:
        with tempfile.TemporaryDirectory() as scratch:
            yield from one_large(server, dovecot, size, Path(scratch), judged=not quick)
        with tempfile.TemporaryDirectory() as scratch:
            yield many(server, dovecot, size, Path(scratch), judged=not quick)
        dovecot.empty("large")
        with tempfile.TemporaryDirectory() as scratch:
            yield memory(server, dovecot, size, Path(scratch), judged=not quick)


def users(size: Size) -> list[str]:
    return [f"u{n}" for n in range(size.polled)]


def one_large(
    server: Server, dovecot: DovecotSandbox, size: Size, scratch: Path, *, judged: bool
) -> Iterator[Measure]:
    """First syncs of one mailbox, and polls of it."""
    dovecot.deliver("large", "INBOX", mailbox.mails(size.mails))
    mailbox.index(dovecot, "large")
    theirs: list[float] = []
    without_fsync: list[float] = []
    ours: list[Took] = []
    for number in range(size.rounds):
        mirror = mirrored(dovecot, scratch / f"mbsync-{number}")
        theirs.append(pulled(mirror))
        assert sum(1 for _ in mirror.copies()) == size.mails
        # It stays until the end: where many files have just been removed, making others takes many
        # times as long, and whoever comes next would pay for it.
        again = mirrored(dovecot, scratch / f"unsynced-{number}", fsync=False)
        without_fsync.append(pulled(again))
        ours_now = reader(server, dovecot, ["large"], scratch / f"store-{number}")
        ours.append(ours_now.run()[1])
        assert ours_now.kept() == size.mails
    what = f"a first sync of {size.mails} e-mails"
    took = sorted(ours, key=lambda one: one.wall)[len(ours) // 2]
    yield Measure(
        f"mbsync / {what}",
        [other / mine.wall for other, mine in zip(theirs, ours, strict=True)],
        "×",
        FIRST_SYNC if judged else None,
        f"{statistics.median(theirs):.2f} s / {described(took)}",
        bound="at least",
    )
    yield Measure(
        f"mbsync without fsync / {what}",
        [other / mine.wall for other, mine in zip(without_fsync, ours, strict=True)],
        "×",
        None,
        f"{statistics.median(without_fsync):.2f} s / {took.wall:.2f} s",
        bound="at least",
    )
    polls = [
        (pulled(mirror), ours_now.run()[0], ours_now.run(WARMED)[1]) for _ in range(size.polls)
    ]
    their_polls, whole = [one[0] for one in polls], [one[1] for one in polls]
    yield Measure(
        "mbsync / a poll that finds nothing new, warm",
        [other / warm.wall for other, _whole, warm in polls],
        "×",
        POLL if judged else None,
        f"{_ms(their_polls)} / {_ms([one[2].wall for one in polls])}; "
        f"{_ms(whole)} with interpreter and imports",
        bound="at least",
    )


def many(
    server: Server, dovecot: DovecotSandbox, size: Size, scratch: Path, *, judged: bool
) -> Measure:
    """All mailboxes polled in one run."""
    for number, user in enumerate(users(size)):
        dovecot.deliver(user, "INBOX", mailbox.mails(size.each, seed=number))
    ours = reader(server, dovecot, users(size), scratch / "store")
    ours.run()
    assert ours.kept() == size.polled * size.each
    took = [ours.run(WARMED)[1] for _ in range(3)]
    return Measure(
        f"{size.polled} mailboxes polled in one run, nothing new",
        [one.wall for one in took],
        "s",
        MANY_S if judged else None,
        f"{statistics.median(one.client for one in took):.2f} s of processor the job's",
    )


def memory(
    server: Server, dovecot: DovecotSandbox, size: Size, scratch: Path, *, judged: bool
) -> Measure:
    """A first sync with one message that is larger than what is held in memory."""
    dovecot.deliver("large", "INBOX", [*mailbox.mails(500), mailbox.large(size.bytes)])
    ours = reader(server, dovecot, ["large"], scratch / "store")
    _whole, took, peak = ours.run()
    assert ours.kept() == 501
    return Measure(
        f"peak memory of a run with a message of {size.bytes / 1e6:.0f} MB among 500",
        [peak / 1e6],
        "MB",
        MEMORY_MB if judged else None,
        described(took),
    )


def reader(server: Server, dovecot: DovecotSandbox, names: Sequence[str], store: Path) -> Reader:
    """The job with these mailboxes, of which it knows nothing yet."""
    store.mkdir()
    engine = server.engine(BUSINESSES)
    environment = {
        "DATABASE_URL": server.address(BUSINESSES).render_as_string(hide_password=False),
        "STORAGE_URL": f"file://{store}",
        "MAILBOX_KEYS": mailbox.add(engine, dovecot, names),
        "INBOX_PRIVATE_HOSTS": "on",
    }
    return Reader(server, engine, environment, store)


def mirrored(dovecot: DovecotSandbox, folder: Path, *, fsync: bool = True) -> Mirror:
    assert set(UNREAD) <= set(FOLDERS)
    return Mirror(folder, dovecot.port, "large", PASSWORD, but=UNREAD, fsync=fsync)


def pulled(mirror: Mirror) -> float:
    """Seconds that mbsync takes, its process included. What others have written is on the disk
    before: whoever comes next does not wait for it."""
    os.sync()
    begun = time.perf_counter()
    mirror.pull()
    return time.perf_counter() - begun


def described(took: Took) -> str:
    return (
        f"{took.wall:.2f} s (processor: {took.client:.2f} the job's, {took.database:.2f} database)"
    )


def _ms(values: Sequence[float]) -> str:
    return f"{statistics.median(values) * 1000:.0f} ms"
