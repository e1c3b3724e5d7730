"""Random short histories of a mailbox: what people, servers and fate do to it between our runs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from imapclient.exceptions import IMAPClientError

from chalicelib.mailboxes.turn import Limits
from sandbox.dovecot import PASSWORD, DovecotSandbox
from sandbox.mbsync import FLAGS, Mirror
from tests.domain.inbox.dying import killed_at
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import UNREAD, World, mail, there

LIMITS = Limits(batch_messages=3)
OWN = ("Clients", "Clients/Dupont", "Été")
BODIES = ("Bonjour", "Bonsoir", "é" * 40, "x" * 3000)


class History:
    """One mailbox and what happens to it. `told` is what has happened, for whoever looks into a
    failure."""

    def __init__(
        self, world: World, dovecot: DovecotSandbox, relay: Relay, draw: random.Random
    ) -> None:
        self.told: list[str] = []
        self._world = world
        self._dovecot = dovecot
        self._relay = relay
        self._draw = draw
        self._number = 0
        self._folders = ["INBOX", "Archive", "Sent"]
        self._box = world.add(relay.port)

    def go(self, events: int) -> None:
        happens: list[Callable[[], str]] = [
            *[self.deliver] * 4,
            *[self.expunge] * 2,
            *[self.move] * 2,
            *[self.sync] * 3,
            *[self.die] * 2,
            self.flag,
            self.copy,
            self.create,
            self.rename,
            self.delete,
            self.renumber,
            self.lose_the_line,
            self.outage,
            self.restart,
            self.hour,
        ]
        for _ in range(events):
            self.told.append(self._draw.choice(happens)())
        self.settle()

    def check(self) -> None:
        """What is stored is what is there, by the standard library's client, with all flags."""
        world = self._world
        assert world.stored(self._box) == there(self._dovecot.port), self.told
        assert world.flags(self._box) == there(self._dovecot.port, flags=True), self.told

    def differences(self, folder: Path) -> Counter[str]:
        """Copies that mbsync finds and are not stored (`lost`), that are stored more often than it
        finds them (`duplicate`), and emails stored twice; empty when all is well."""
        but = (*UNREAD, *self._listed_only())
        mirror = Mirror(folder, self._dovecot.port, "compta", PASSWORD, but=but)
        mirror.pull()
        there = Counter((one.folder, one.content, one.flags) for one in mirror.copies())
        here = Counter[tuple[str, bytes, tuple[str, ...]]]()
        for (path, sha256), copies in self._world.flags(self._box).items():
            content = self._world.raw(sha256).replace(b"\r\n", b"\n")
            for flags, count in copies.items():
                here[path, content, tuple(flag for flag in flags if flag in FLAGS)] += count
        return +Counter(
            lost=(there - here).total(), duplicate=(here - there).total() + self._twice()
        )

    def _listed_only(self) -> list[str]:
        """Folders that were deleted, and which Dovecot lists because there are some below them:
        mbsync fails over them."""
        found = []
        with self._dovecot.client("compta") as client:
            for _attributes, _delimiter, path in client.list_folders():
                try:
                    client.select_folder(path, readonly=True)
                except IMAPClientError:
                    found.append(path)
        return found

    def _twice(self) -> int:
        found: int = self._world.one(
            "SELECT count(*) - count(DISTINCT (message_id, sha256)) FROM ponctuel.emails "
            "WHERE mailbox_id = :id",
            id=self._box,
        )
        return found

    def settle(self) -> None:
        """Until a run finds nothing more to do."""
        world = self._world
        for turn in range(6):
            # Deaths make it wait for a day, renumberings and closed folders for six hours.
            world.database.advance(timedelta(hours=25))
            report = world.sync(self._box, limits=LIMITS)
            if turn > 1 and not report.troubles:
                break
        assert (report.synced, report.troubles) == ([self._box], []), (report, self.told)
        assert self._twice() == 0, self.told
        unread = "SELECT count(*) FROM ponctuel.emails WHERE state NOT IN ('parsed','partial')"
        assert world.one(unread) == 0, self.told

    # What happens

    def deliver(self) -> str:
        folder, count = self._draw.choice(self._folders), self._draw.randint(1, 7)
        mails = [self._mail() for _ in range(count)]
        self._dovecot.deliver("compta", folder, mails)
        return f"deliver {count} {folder}"

    def expunge(self) -> str:
        folder, uids = self._some()
        if uids:
            self._dovecot.expunge("compta", folder, uids)
        return f"expunge {uids} {folder}"

    def move(self) -> str:
        folder, uids = self._some()
        target = self._draw.choice(self._folders)
        if uids and target != folder:
            self._dovecot.move("compta", folder, uids, target)
        return f"move {uids} {folder} {target}"

    def copy(self) -> str:
        folder, uids = self._some()
        target = self._draw.choice(self._folders)
        if uids:
            with self._dovecot.client("compta", folder) as client:
                client.copy(uids, target)
        return f"copy {uids} {folder} {target}"

    def flag(self) -> str:
        folder, uids = self._some()
        flags = self._draw.sample([b"\\Seen", b"\\Flagged", b"$Important"], 2)
        if uids:
            self._dovecot.set_flags("compta", folder, uids, flags)
        return f"flag {uids} {folder}"

    def create(self) -> str:
        folder = self._draw.choice(OWN)
        if folder not in self._folders:
            self._dovecot.create("compta", folder)
            self._folders.append(folder)
        return f"create {folder}"

    def rename(self) -> str:
        olds = [folder for folder in self._folders if folder in OWN]
        news = [folder for folder in (*OWN, "Autre") if folder not in self._folders]
        if not olds or not news:
            return "rename nothing"
        old, new = self._draw.choice(olds), self._draw.choice(news)
        if any(folder.startswith(f"{old}/") for folder in self._folders) or old in new:
            return "rename nothing"
        self._dovecot.rename("compta", old, new)
        self._folders[self._folders.index(old)] = new
        return f"rename {old} {new}"

    def delete(self) -> str:
        folder = self._draw.choice(self._folders)
        if folder in ("INBOX", "Archive", "Sent"):
            return "delete nothing"
        self._dovecot.delete("compta", folder)
        self._folders.remove(folder)
        return f"delete {folder}"

    def renumber(self) -> str:
        folder = self._draw.choice(self._folders)
        self._dovecot.change_uidvalidity("compta", folder)
        return f"renumber {folder}"

    def sync(self) -> str:
        self._world.sync(self._box, limits=LIMITS)
        return "sync"

    def die(self) -> str:
        step = self._draw.randint(1, 60)
        died = killed_at(step, self._world, self._box, limits=LIMITS)
        self._world.database.advance(timedelta(minutes=5))
        return f"die {step} {died}"

    def lose_the_line(self) -> str:
        self._relay.cut_after = self._draw.randint(200, 6000)
        self._world.sync(self._box, limits=LIMITS)
        self._relay.cut_after = None
        return "cut"

    def outage(self) -> str:
        """Nobody answers."""
        self._relay.refusing = True
        self._world.sync(self._box, limits=LIMITS)
        self._relay.refusing = False
        return "outage"

    def restart(self) -> str:
        self._dovecot.stop()
        self._world.sync(self._box, limits=LIMITS)
        self._dovecot.start()
        return "restart"

    def hour(self) -> str:
        self._world.database.advance(timedelta(minutes=61))
        return "hour"

    def _mail(self) -> bytes:
        """Sometimes one that was there before, or shares its Message-ID, or has none."""
        self._number += 1
        number = self._number if self._draw.random() < 0.8 else self._draw.randint(1, self._number)
        body = self._draw.choice(BODIES)
        missing = [name for name in ("Message_ID", "Received") if self._draw.random() < 0.1]
        return mail(number, body, **dict.fromkeys(missing, ""))

    def _some(self) -> tuple[str, list[int]]:
        folder = self._draw.choice(self._folders)
        uids = self._dovecot.uids("compta", folder)
        return folder, self._draw.sample(uids, min(len(uids), self._draw.randint(1, 3)))
