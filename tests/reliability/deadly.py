"""Items and letters that kill the process that treats them: set aside, and the others done."""

from __future__ import annotations

import math
import random
import signal
from collections import Counter
from collections.abc import Collection
from datetime import timedelta

from chalicelib.outbox.claim import QUARANTINE_CLAIMS
from chalicelib.runner.acquire import DEATHS
from chalicelib.runner.lease import LEASE
from tests.harness import NOW, Deployment
from tests.reliability import deadly_probe
from tests.reliability.child import ended, run, spawn
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.trial import CONCURRENCY, Finding, child_environment
from tests.runner.probe import Stand
from tests.runner.probe import job as probe

HOUR = timedelta(hours=1)


def deaths_allowed(batch: int, deadly: int) -> int:
    """At most DEATHS for each size of the batch, halved down to one item."""
    return DEATHS * (math.ceil(math.log2(batch)) + 1) * deadly


def items_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """The probe job, some of whose items kill whoever treats them, in batches of any size."""
    items = [f"i{n:02}" for n in range(draw.randint(1, 16))]
    deadly = sorted(draw.sample(items, k=min(len(items), draw.randint(1, 2))))
    batch = draw.choice((1, 2, 5, 8, 20))
    stand = probing(deployment, items)
    deaths = until_it_lives(stand, deployment.database.url, deadly, batch)
    assert deaths <= deaths_allowed(batch, len(deadly)), f"{deaths} deaths, {batch} in a batch"
    aside = stand.rows(
        "SELECT job, step, item, reason, released_at FROM ponctuel.quarantine ORDER BY item"
    )
    told = {"job": "probe", "step": "probe", "reason": "process_killed", "released_at": None}
    assert aside == [told | {"item": item} for item in deadly]
    errors = stand.rows("SELECT item, code FROM ponctuel.run_errors ORDER BY item")
    assert errors == [{"item": item, "code": "quarantined"} for item in deadly]
    (last,) = stand.runs()
    counts = Counter(done=len(items) - len(deadly), failed=len(deadly))
    assert (last["status"], last["counts"]) == ("partial", +counts)
    times, wanted = Counter(stand.done()), set(items) - set(deadly)
    wrong = Counter(
        lost=len(wanted - set(times)),
        unexpected=len(set(times) - wanted),
        duplicate=sum(n - 1 for n in times.values()),
    )
    return Finding.of(wrong, deaths=deaths, set_aside=len(deadly))


def probing(deployment: Deployment, items: Collection[str]) -> Stand:
    """The probe with these items, of three businesses, due at its next slot."""
    deployment.database.set_clock(NOW)
    stand = Stand(deployment.database.engine())
    stand.install(*[(f"B{n % 3}", item) for n, item in enumerate(items)])
    stand.work(probe())
    stand.advance(HOUR)
    return stand


def until_it_lives(stand: Stand, url: str, deadly: Collection[str], batch: int) -> int:
    """Real processes, one after the other, each once the lease of the one before is over. Returns
    how many died."""
    for deaths in range(4 * deaths_allowed(batch, len(deadly))):
        code = ended(spawn(deadly_probe.main, url, deadly, batch))
        if code == 0:
            return deaths
        assert code == -signal.SIGKILL
        stand.advance(LEASE + timedelta(seconds=1))
    raise AssertionError("the item is never set aside")


def letters_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """`case`: `render` or `send`, where the letter kills. Killing while it is rendered sets it
    aside; killing while it is sent leaves it uncertain, and it is never tried again."""
    scenario = SCENARIOS[job]
    subject = draw.choice(scenario.letters)
    deadly = f"{case}:{subject}"
    scenario.load(deployment)
    deployment.advance_to_slot(job)
    assert run(child_environment(TEST_DEADLY=deadly), job) == -signal.SIGKILL
    deaths = 1 + _deliver_until_it_lives(deployment, deadly)
    expected = set(scenario.expected)
    if case == "render":
        assert deaths <= QUARANTINE_CLAIMS
        aside = {(m["subject"], m["hold_reason"]) for m in deployment.messages(state="held")}
        assert aside == {(subject, "quarantine")}
        expected = {key for key in expected if key[1] != subject}
    else:
        assert deaths == 1
        assert subject in {m["subject"] for m in deployment.messages(state="uncertain")}
    # The answers to the calls before were in the memory of the process that died.
    return Finding.of(scenario.verify(deployment, expected), bound=CONCURRENCY, deaths=deaths)


def _deliver_until_it_lives(deployment: Deployment, deadly: str) -> int:
    """The outbox's own ticks, each once the claims of the process before are over."""
    for deaths in range(2 * QUARANTINE_CLAIMS):
        deployment.database.advance(timedelta(minutes=10))
        code = run(child_environment(TEST_DEADLY=deadly), "deliver_messages")
        if code == 0:
            return deaths
        assert code == -signal.SIGKILL
    raise AssertionError("the message is never set aside")
