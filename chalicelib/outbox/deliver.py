"""Delivering: claim, ask the guards, commit *submitting*, call, commit the answers.

Messages go out in windows of as many concurrent calls as are allowed. One transaction commits the
last window's answers and marks the next window *submitting*, so a crash leaves uncertain only the
calls that were in flight.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable
from chalicelib.outbox import claim
from chalicelib.outbox.answers import answer
from chalicelib.outbox.claim import News
from chalicelib.outbox.kinds import Claimed
from chalicelib.outbox.submission import Submission, prepare
from chalicelib.providers.mail.port import SENDER_WIDE_CODES, MailProvider
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline

CLAIM_SIZE = 200
# A call is not begun with less than this left: no adapter's call lasts longer.
CALL_S = 65.0
# The claimer is surely dead that long after its deadline.
GRACE = timedelta(minutes=2)
# A record of answers is worth waiting for: losing it makes uncertain what was accepted.
RECORD_RETRIES = 6


@dataclass
class Outbox:
    """What delivering needs. `open_mail` gives one provider per thread; `storage` may be None
    where no document is ever attached."""

    engine: Engine
    open_mail: Callable[[], MailProvider]
    storage: Storage | None
    concurrency: int = 4
    counts: Counter[str] = field(default_factory=Counter)


def deliver(
    outbox: Outbox,
    deadline: Deadline,
    *,
    run_id: UUID | None = None,
    budget: Deadline | None = None,
) -> Counter[str]:
    """Sends what is due (of one run, or of all) until nothing is, the deadline is near, or the
    budget is spent. Returns the outcomes by state. Raises `DatabaseUnavailable`; a provider's
    failures are outcomes."""
    with transaction(outbox.engine) as connection:
        swept = claim.sweep(connection)
    outbox.counts.update({k: v for k, v in swept.items() if v and k != "dropped"})
    with _Senders(outbox) as senders:
        while not _over(deadline, budget):
            claim_id = uuid4()
            lifetime = timedelta(seconds=max(0.0, deadline.remaining())) + GRACE
            with transaction(outbox.engine) as connection:
                claimed = claim.claim(
                    connection, claim_id, limit=CLAIM_SIZE, lifetime=lifetime, run_id=run_id
                )
            over = partial(_over, deadline, budget)
            if not claimed or not _send_all(outbox, senders, over, claim_id, claimed):
                break
    return outbox.counts


def _over(deadline: Deadline, budget: Deadline | None) -> bool:
    return deadline.near(CALL_S) or (budget is not None and budget.near())


def _send_all(
    outbox: Outbox,
    senders: _Senders,
    over: Callable[[], bool],
    claim_id: UUID,
    claimed: Sequence[Claimed],
) -> bool:
    """Sends one claim, window by window. False when there is no point in claiming more now."""
    answers: list[News] = []
    go_on = True
    for start in range(0, len(claimed), outbox.concurrency):
        if over() or not go_on:
            go_on = False
            break
        window = claimed[start : start + outbox.concurrency]
        begun = time.monotonic()
        ready = _record(outbox, claim_id, answers, window)
        answers = senders.call(ready, begun + CALL_S)
        # When a whole window failed for reasons of our own, the next one would fail alike. A
        # business's own sender is no such reason.
        go_on = not answers or not all(
            news.fields.get("error_code") in SENDER_WIDE_CODES - {"sender"} for news in answers
        )
    _record(outbox, claim_id, answers, ())
    with transaction(outbox.engine) as connection:
        claim.unclaim(connection, claim_id)
    return go_on


def _record(
    outbox: Outbox, claim_id: UUID, answers: Sequence[News], window: Sequence[Claimed]
) -> list[Submission]:
    """One transaction: the last window's answers, the next window's guards and *submitting*. When
    it fails, whatever the reason, the answers are recorded alone first: nothing else could tell
    what became of those messages."""
    try:
        return _commit(outbox, claim_id, answers, window)
    except Exception as error:  # noqa: BLE001 - see above; the window's own failure comes out below
        logs.warning("answers_not_recorded_yet", messages=len(answers), error=error)
    for retry in range(RECORD_RETRIES + 1):
        try:
            if answers:
                _commit(outbox, claim_id, answers, (), again=True)
                answers = ()
            return _commit(outbox, claim_id, (), window, again=True)
        except (DatabaseUnavailable, DBAPIError):
            if retry == RECORD_RETRIES:
                raise
            time.sleep(min(0.25 * 2**retry, 8))
    raise AssertionError("unreachable")


def _commit(
    outbox: Outbox,
    claim_id: UUID,
    answers: Sequence[News],
    window: Sequence[Claimed],
    *,
    again: bool = False,
) -> list[Submission]:
    """`again`: the commit before may have gone through, and only its answer have been lost."""
    with transaction(outbox.engine) as connection:
        written = claim.settle(connection, claim_id, answers)
        if again:
            claim.reclaim(connection, claim_id, [message.id for message in window])
        ready, news = prepare(connection, claim_id, window, outbox.storage)
        marked = claim.settle(connection, claim_id, news)
    outbox.counts.update(n.state for n in (*answers, *news) if n.id in written | marked)
    outbox.counts.pop("submitting", None)
    _log(answers, written, again=again)
    return [submission for submission in ready if submission.message.id in marked]


def _log(answers: Sequence[News], written: set[int], *, again: bool) -> None:
    for news in answers:
        if news.id not in written and not again:
            logs.error("answer_not_ours_any_more", message=news.id, state=news.state)
        elif news.state != "accepted":
            logs.warning(
                "message_not_accepted",
                message=news.id,
                state=news.state,
                code=news.fields.get("error_code"),
            )


class _Senders:
    """As many threads as calls may be concurrent, each with a provider of its own."""

    def __init__(self, outbox: Outbox) -> None:
        self._open = outbox.open_mail
        self._pool = ThreadPoolExecutor(max_workers=outbox.concurrency, thread_name_prefix="mail")
        self._providers: list[MailProvider] = []
        self._idle: list[MailProvider] = []

    def __enter__(self) -> _Senders:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(wait=True)
        for provider in self._providers:
            provider.close()

    def call(self, ready: Sequence[Submission], latest: float) -> list[News]:
        """Calls the provider for each, side by side. A process that was frozen past `latest`
        (monotonic) calls nobody: its messages may have been taken over."""
        return list(self._pool.map(lambda submission: self._one(submission, latest), ready))

    def _one(self, submission: Submission, latest: float) -> News:
        if time.monotonic() > latest:
            return News(submission.message.id, "submitting", "planned", {"wait": "0 seconds"})
        provider = self._idle.pop() if self._idle else self._new()
        try:
            return answer(submission, provider)
        finally:
            self._idle.append(provider)

    def _new(self) -> MailProvider:
        provider = self._open()
        self._providers.append(provider)
        return provider
