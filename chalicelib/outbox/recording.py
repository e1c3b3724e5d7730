"""Writing down what becomes of a claim, window by window, through outages that pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable
from chalicelib.outbox import allowance as allowances
from chalicelib.outbox import settle, suppressions
from chalicelib.outbox.allowance import Allowance
from chalicelib.outbox.answers import about_the_person
from chalicelib.outbox.channels import Outbox
from chalicelib.outbox.kinds import Claimed
from chalicelib.outbox.senders import Flight
from chalicelib.outbox.settle import News
from chalicelib.outbox.submission import Prepared, Submission

# Answers are worth waiting for: losing them makes uncertain what was accepted. 16 s in all.
RETRIES = 6
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0

T = TypeVar("T")


class Record:
    """What one claim writes. `begun`: the messages whose letters were begun, so far."""

    def __init__(self, outbox: Outbox, allowance: Allowance, claim_id: UUID) -> None:
        self._outbox = outbox
        self._allowance = allowance
        self._claim_id = claim_id
        self.begun: set[int] = set()

    def begin(self, window: Sequence[Claimed]) -> None:
        """Commits that the letters of a window are begun."""
        self._write((), (), Prepared(), window)

    def answers(self, flight: Flight, answers: Sequence[News]) -> None:
        """Commits a window's answers."""
        self._write(flight.submissions, answers, Prepared(), ())

    def mark(
        self,
        flight: Flight | None,
        answers: Sequence[News],
        prepared: Prepared,
        following: Sequence[Claimed],
    ) -> list[Submission]:
        """Commits the last window's answers, *submitting* or why not for the next, and that the
        letters of the one after it are begun. Returns what may be called for."""
        marked = self._write(flight.submissions if flight else (), answers, prepared, following)
        return [one for one in prepared.ready if one.message.id in marked]

    def _write(
        self,
        submissions: Sequence[Submission],
        answers: Sequence[News],
        prepared: Prepared,
        begun: Sequence[Claimed],
    ) -> set[int]:
        self.begun.update(message.id for message in begun)
        outcomes = [*prepared.news, *(one.marks for one in prepared.ready)]

        def commit(again: bool) -> set[int]:
            # A second try is about what nothing else could tell: to count the letters as begun
            # twice would blame them.
            news = [*answers, *outcomes, *([] if again else map(settle.begins, begun))]
            if not news:
                return set()
            with transaction(self._outbox.engine) as connection:
                if again:
                    ids = [one.message.id for one in prepared.ready]
                    settle.reclaim(connection, self._claim_id, ids)
                written = settle.settle(connection, self._claim_id, news)
                ours = [
                    (one, told)
                    for one, told in zip(submissions, answers, strict=True)
                    if told.id in written
                ]
                suppressions.suppress(connection, _people(ours))
                if ours:  # a process that was given up for dead has nothing to say
                    allowances.save(connection, self._allowance)
            told = (*answers, *prepared.news)
            self._outbox.counts.update(one.state for one in told if one.id in written)
            _log(answers, written, again=again)
            return written

        return until_written(commit)


def _people(answered: Sequence[tuple[Submission, News]]) -> list[suppressions.Suppression]:
    found = (about_the_person(one, news) for one, news in answered)
    return [entry for entry in found if entry is not None]


def until_written(write: Callable[[bool], T]) -> T:
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
