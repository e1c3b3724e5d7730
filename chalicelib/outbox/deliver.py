"""Delivering: claim, ask the guards, commit *submitting*, call, commit the answers.

Messages go out in windows of as many concurrent calls as are allowed, in two transactions: one
commits the last window's answers and counts the next window as begun; the other asks the guards,
writes the letters and marks the window *submitting*. A letter can kill the process that writes it:
no answer may wait for one, so that a crash leaves uncertain only the calls that were in flight.
All in one transaction would save one round trip of nine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar
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
# Answers are worth waiting for: losing them makes uncertain what was accepted. 16 s in all.
RETRIES = 6
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0

T = TypeVar("T")


@dataclass
class Outbox:
    """What delivering needs. `open_mail` gives one provider per thread; `storage` may be None
    where no document is ever attached."""

    engine: Engine
    open_mail: Callable[[], MailProvider]
    storage: Storage | None
    concurrency: int = 4
    counts: Counter[str] = field(default_factory=Counter)


# Claims, and what was begun of them, that could not be given back because the database was away:
# this process's next delivery does it, or a few outages would look like as many deaths.
_owed: dict[UUID, set[int]] = {}


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
    owed = dict(_owed)
    with transaction(outbox.engine) as connection:
        for claim_id, begun in owed.items():
            claim.unclaim(connection, claim_id, begun)
        swept = claim.sweep(connection)
    for claim_id in owed:
        _owed.pop(claim_id, None)
    outbox.counts.update(expired=swept.expired, uncertain=swept.uncertain)
    if not swept.due:
        return +outbox.counts
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
    return +outbox.counts


def _over(deadline: Deadline, budget: Deadline | None) -> bool:
    return deadline.near(CALL_S) or (budget is not None and budget.near())


def _send_all(
    outbox: Outbox,
    senders: _Senders,
    over: Callable[[], bool],
    claim_id: UUID,
    claimed: Sequence[Claimed],
) -> bool:
    """Sends one claim, window by window, and gives back what it did not come to. False when there
    is no point in claiming more now."""
    begun: set[int] = set()
    try:
        return _send_windows(outbox, senders, over, claim_id, claimed, begun)
    finally:
        try:
            with transaction(outbox.engine) as connection:
                claim.unclaim(connection, claim_id, begun)
        except (DatabaseUnavailable, DBAPIError) as error:
            _owed[claim_id] = begun
            logs.warning("claim_not_given_back", error=error)


def _send_windows(
    outbox: Outbox,
    senders: _Senders,
    over: Callable[[], bool],
    claim_id: UUID,
    claimed: Sequence[Claimed],
    begun: set[int],
) -> bool:
    answers: list[News] = []
    go_on = True
    for start in range(0, len(claimed), outbox.concurrency):
        go_on = go_on and not over()
        if not go_on:
            break
        window = claimed[start : start + outbox.concurrency]
        begun.update(message.id for message in window)
        _record(outbox, claim_id, answers, window)
        latest = time.monotonic() + CALL_S
        answers = senders.call(_submit(outbox, claim_id, window), latest)
        # When a whole window failed for reasons of our own, the next one would fail alike. A
        # business's own sender is no such reason.
        go_on = not answers or not all(
            news.fields.get("error_code") in SENDER_WIDE_CODES - {"sender"} for news in answers
        )
    _record(outbox, claim_id, answers, ())
    return go_on


def _record(
    outbox: Outbox, claim_id: UUID, answers: Sequence[News], window: Sequence[Claimed]
) -> None:
    """Commits the last window's answers, and that the next window is begun. A second try is about
    the answers alone, which nothing else could tell: to count the window twice would blame it."""

    def settle(again: bool) -> None:
        news = [*answers, *(() if again else map(claim.begins, window))]
        if not news:
            return
        with transaction(outbox.engine) as connection:
            written = claim.settle(connection, claim_id, news)
        outbox.counts.update(news.state for news in answers if news.id in written)
        _log(answers, written, again=again)

    _until_written(settle)


def _submit(outbox: Outbox, claim_id: UUID, window: Sequence[Claimed]) -> list[Submission]:
    """Commits *submitting*, or why not, for each message of the window; returns the former."""

    def mark(again: bool) -> list[Submission]:
        with transaction(outbox.engine) as connection:
            if again:
                claim.reclaim(connection, claim_id, [message.id for message in window])
            ready, news = prepare(connection, claim_id, window, outbox.storage)
            marked = claim.settle(connection, claim_id, news)
        outbox.counts.update(
            one.state for one in news if one.id in marked and one.state != "submitting"
        )
        return [submission for submission in ready if submission.message.id in marked]

    return _until_written(mark)


def _until_written(write: Callable[[bool], T]) -> T:
    """Tries again through an outage that passes. `write` is told whether it is a further try: the
    commit before may have gone through, and only its answer have been lost."""
    for retry in range(RETRIES):
        try:
            return write(retry > 0)
        except (DatabaseUnavailable, DBAPIError) as error:
            logs.warning("delivery_not_recorded_yet", error=error)
            time.sleep(min(FIRST_WAIT_S * 2**retry, LONGEST_WAIT_S))
    return write(True)


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
