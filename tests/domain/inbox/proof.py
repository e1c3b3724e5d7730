"""Random histories of a mailbox for `make prove`, with mbsync as the reader that tells what is
there."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

from sandbox import dovecot, mbsync
from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.histories import History
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import NOW, World
from tests.harness import Deployment
from tests.reliability.trial import Finding

# Of one trial.
HISTORIES = 5
TRIALS = 50
# Nothing where the servers are not installed: it says so in what was gone through.
NEEDS = {} if dovecot.absent() or mbsync.absent() else {"histories": 200}


def trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """Some histories of 5 to 40 events, each of a mailbox that is new."""
    if dovecot.absent() or mbsync.absent():
        return Finding(Counter(), done=Counter(skipped_because_dovecot_or_isync_is_missing=1))
    wrong, done = Counter[str](), Counter[str]()
    database = deployment.database
    with (
        tempfile.TemporaryDirectory() as scratch,
        DovecotSandbox() as server,
        Relay(server.port) as relay,
    ):
        for number in range(HISTORIES):
            folder = Path(scratch) / str(number)
            (folder / "store").mkdir(parents=True)
            deployment.empty()
            database.set_clock(NOW)
            relay.calm()
            server.empty("compta")
            world = World(database, folder / "store", database.engine())
            history = History(world, server, relay, draw)
            history.go(draw.randint(5, 40))
            found = history.differences(folder)
            assert not found, (found, history.told)
            history.check()
            wrong += found
            done += Counter(
                histories=1,
                events=len(history.told),
                deaths=sum(one.endswith("True") for one in history.told),
            )
    return Finding(wrong, done=done)
