"""One channel's way out: claim, and for each window of concurrent calls ask, write, mark, call.

    window 1:  ask and write ─ mark ─ calls ────────────────┐
    window 2:                  ask and write ───────────────┴ mark ─ calls ──┐
                                                              ╰ with the answers of window 1

Guards are asked and letters written while the window before is on its way; one transaction then
records its answers, marks the next window *submitting*, and counts the window after it as begun. So
a crash leaves uncertain only the calls that were in flight. A letter that has seen a process die is
written while no call is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable, NotFound, SchemaOutdated
from chalicelib.outbox import allowance as allowances
from chalicelib.outbox import claim, settle, submission, suppressions
from chalicelib.outbox.allowance import ACCOUNT, Allowance
from chalicelib.outbox.answers import about_the_person
from chalicelib.outbox.channels import Channel, Outbox
from chalicelib.outbox.kinds import Claimed, Kind, load
from chalicelib.outbox.senders import Flight, Senders
from chalicelib.outbox.settle import News
from chalicelib.outbox.submission import Prepared, Submission
from chalicelib.providers.mail.port import SENDER_WIDE_CODES

CLAIM_SIZE = 200
# A call is not begun with less than this left: no adapter's call lasts longer.
CALL_S = 65.0
# What the guards said longer ago than that is asked again: a call may have taken a minute.
FRESH_S = 5.0
# Guards are asked about so many messages at once: planning such a statement takes longer than
# running it.
ASKED = 32
# Answers are worth waiting for: losing them makes uncertain what was accepted. 16 s in all.
RETRIES = 6
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
# The longest that one channel's rate makes the others wait.
LONGEST_PACE_S = 1.0

T = TypeVar("T")

# Claims, and what was begun of them, that could not be given back because the database was away:
# this process's next delivery does it, or a few outages would look like as many deaths.
OWED: dict[UUID, set[int]] = {}


class Lane:
    """One channel's claims, one after the other."""

    def __init__(self, outbox: Outbox, channel: Channel, senders: Senders) -> None:
        self._outbox = outbox
        self._engine = outbox.engine
        self._channel = channel
        self._senders = senders
        self._claim_id = uuid4()
        self._allowance: Allowance
        self._begun: set[int] = set()
        self._asked: submission.Asked | None = None
        self._asked_at = 0.0
        self._asked_ids: set[int] = set()

    def turn(self, over: Callable[[], bool], lifetime: timedelta, run_id: UUID | None) -> bool:
        """Claims once, sends that, and gives back what it did not come to. False when there is no
        point in claiming more on this channel now."""
        self._claim_id, self._begun, self._asked_ids = uuid4(), set(), set()
        claimed, beyond = _until_written(
            lambda again: ([], 0) if again and over() else self._claim(lifetime, run_id)
        )
        if not claimed:
            wait = self._allowance.wait
            time.sleep(min(wait, LONGEST_PACE_S))
            return beyond > 0 or wait > 0
        try:
            return self._send(claimed, over)
        finally:
            try:
                with transaction(self._engine) as connection:
                    claim.unclaim(connection, self._claim_id, self._begun)
            except (DatabaseUnavailable, DBAPIError) as error:
                OWED[self._claim_id] = self._begun
                logs.warning("claim_not_given_back", error=error)

    def _claim(self, lifetime: timedelta, run_id: UUID | None) -> tuple[list[Claimed], int]:
        """The messages to send, and how many more were held because a quota or cap is reached."""
        with transaction(self._engine) as connection:
            allowance = allowances.ask(connection, self._channel, CLAIM_SIZE)
            self._allowance = allowance
            claimed: list[Claimed] = []
            if allowance.granted:
                claimed = claim.claim(
                    connection,
                    self._claim_id,
                    channel=self._channel.name,
                    limit=allowance.granted,
                    lifetime=lifetime,
                    run_id=run_id,
                    shut=allowance.shut,
                )
                allowances.took(connection, allowance, len(claimed))
            beyond = allowances.excess(
                connection, allowance, self._claim_id, _with_kinds(claimed), self._outbox.reserve
            )
            held = [
                News(
                    one.id,
                    "claimed",
                    "held",
                    {"hold_reason": one.reason, "until": one.until.isoformat()},
                )
                for one in beyond
            ]
            settle.settle(connection, self._claim_id, held)
            allowances.save(connection, allowance)
        self._outbox.counts.update(held=len(held))
        without = {news.id for news in held}
        return [message for message in claimed if message.id not in without], len(held)

    def _send(self, claimed: Sequence[Claimed], over: Callable[[], bool]) -> bool:
        size = self._channel.concurrency
        windows = [claimed[start : start + size] for start in range(0, len(claimed), size)]
        flight: Flight | None = None
        go_on = not over()
        if go_on:
            self._record([], None, windows[0])
        for number, window in enumerate(windows):
            if not go_on:
                break
            if flight is not None and any(message.claims for message in window):
                go_on = self._land(flight)
                flight = None
                if not go_on:
                    break
            try:
                prepared, at = self._prepare(window, claimed[number * size :])
            except Exception:
                if flight is not None:  # its answers wait for nobody's letters
                    self._land(flight)
                raise
            answers = flight.land() if flight else []
            go_on = go_on and self._judge(flight, answers) and not over()
            if go_on and time.monotonic() - at > FRESH_S:
                if flight is not None:
                    self._record(flight.submissions, answers, ())
                    flight, answers = None, []
                prepared, at = self._prepare(window, window)
            following = windows[number + 1] if go_on and number + 1 < len(windows) else ()
            latest = time.monotonic() + CALL_S
            marked = self._mark(flight, answers, prepared if go_on else Prepared(), following)
            flight = self._senders.depart(marked, latest) if marked else None
        if flight is not None:
            go_on = self._land(flight) and go_on
        return go_on

    def _land(self, flight: Flight) -> bool:
        answers = flight.land()
        go_on = self._judge(flight, answers)
        self._record(flight.submissions, answers, ())
        return go_on

    def _prepare(
        self, window: Sequence[Claimed], left: Sequence[Claimed]
    ) -> tuple[Prepared, float]:
        """The letters of a window, and when its guards were asked (monotonic): with those of the
        windows that follow (`left` begins with it), unless that is too long ago."""
        provider = self._channel.provider
        ids = {message.id for message in window}
        if not (ids <= self._asked_ids and time.monotonic() - self._asked_at < FRESH_S):
            block = left[:ASKED]
            self._asked = self._ask(block)
            self._asked_at = time.monotonic()
            self._asked_ids = {message.id for message in block}
        self._asked_ids -= ids
        if self._asked is None:
            return Prepared(), self._asked_at
        self._allowance.clock = self._asked.clock
        return submission.write(self._asked.of(ids), provider, self._outbox.storage), self._asked_at

    def _ask(self, window: Sequence[Claimed]) -> submission.Asked | None:
        provider = self._channel.provider

        def ask(_again: bool) -> submission.Asked | None:
            try:
                with transaction(self._engine) as connection:
                    return submission.ask(connection, self._claim_id, window, provider)
            except (DatabaseUnavailable, SchemaOutdated):
                raise
            except Exception as error:  # noqa: BLE001 - per-item isolation: which one, is told next
                logs.warning("guards_asked_one_by_one", error=error)
            with transaction(self._engine) as connection:
                return submission.ask(connection, self._claim_id, window, provider, one_by_one=True)

        return _until_written(ask)

    def _judge(self, flight: Flight | None, answers: Sequence[News]) -> bool:
        """Counts the answers for the circuits. False when the next window would fail alike."""
        if flight is None:
            return True
        allowance = self._allowance
        for one, news in zip(flight.submissions, answers, strict=True):
            code = news.fields.get("error_code")
            failed = code in SENDER_WIDE_CODES
            if code == "sender":  # the business's own: no fault of the account
                allowance.answered(one.message.business_id, failed=True, clock=allowance.clock)
                continue
            if code == "throttled":
                allowance.slow_down(allowance.clock)
            allowance.answered(ACCOUNT, failed=failed, clock=allowance.clock)
            if not failed:
                allowance.answered(one.message.business_id, failed=False, clock=allowance.clock)
        codes = {news.fields.get("error_code") for news in answers}
        return not codes <= SENDER_WIDE_CODES - {"sender"}

    def _record(
        self,
        submissions: Sequence[Submission],
        answers: Sequence[News] | None,
        window: Sequence[Claimed],
    ) -> None:
        """Commits answers, and that the letters of a window are begun."""
        self._write(submissions, answers or [], Prepared(), window)

    def _mark(
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
        self._begun.update(message.id for message in begun)
        outcomes = [*prepared.news, *(one.marks for one in prepared.ready)]

        def commit(again: bool) -> set[int]:
            # A second try is about what nothing else could tell: to count the letters as begun
            # twice would blame them.
            news = [*answers, *outcomes, *([] if again else map(settle.begins, begun))]
            if not news:
                return set()
            with transaction(self._engine) as connection:
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

        return _until_written(commit)


def _people(answered: Sequence[tuple[Submission, News]]) -> list[suppressions.Suppression]:
    found = (about_the_person(one, news) for one, news in answered)
    return [entry for entry in found if entry is not None]


def _with_kinds(claimed: Sequence[Claimed]) -> list[tuple[Claimed, Kind]]:
    """The messages whose kind this code knows; the others are held when their guard is asked."""
    found = []
    for message in claimed:
        try:
            found.append((message, load(message.kind)))
        except NotFound:
            continue
    return found


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
