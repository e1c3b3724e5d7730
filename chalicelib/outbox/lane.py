"""One channel's way out: claim, and for each window of concurrent calls ask, write, mark, call.

    window 1:  ask and write ─ mark ─ calls ──────────────────┐
    window 2:                         ask and write ─ mark ─ calls ──────────────────┐
    window 3:                                         ask and write ┴ mark ─ calls ──│───────┐
                                                        with the answers of window 1 ╰ of window 2

Two windows share the channel's concurrent calls: while one has landed and is recorded, the provider
works at the other. Guards are asked and letters written meanwhile; one transaction then records the
answers of the window that has landed, marks the one that takes its place *submitting*, and counts
the window after it as begun. So a crash leaves uncertain only the calls that were in flight. A
letter that has seen a process die is written while no call is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable, NotFound, SchemaOutdated
from chalicelib.outbox import allowance as allowances
from chalicelib.outbox import claim, restored, settle, submission
from chalicelib.outbox.allowance import ACCOUNT, Allowance
from chalicelib.outbox.channels import Channel, Outbox
from chalicelib.outbox.kinds import Claimed, Kind, load
from chalicelib.outbox.recording import Record, until_written
from chalicelib.outbox.senders import Flight, Senders
from chalicelib.outbox.settle import News
from chalicelib.outbox.submission import Prepared
from chalicelib.providers.ledger_mark import Mark
from chalicelib.providers.mail.port import SENDER_WIDE_CODES

CLAIM_SIZE = 400
# A call is not begun with less than this left: no adapter's call lasts longer.
CALL_S = 65.0
# What the guards said longer ago than that is asked again: a call may have taken a minute.
FRESH_S = 5.0
# Windows in flight at a time. More of them, and smaller, cost a transaction each.
FLIGHTS = 2
# Guards are asked about so many messages at once: planning such a statement takes longer than
# running it.
ASKED = 128
# The longest that one channel's rate makes the others wait.
LONGEST_PACE_S = 1.0

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
        self._record: Record
        self._asked: submission.Asked | None = None
        self._asked_at = 0.0
        self._asked_ids: set[int] = set()

    def turn(self, over: Callable[[], bool], lifetime: timedelta, run_id: UUID | None) -> bool:
        """Claims once, sends that, and gives back what it did not come to. False when there is no
        point in claiming more on this channel now."""
        self._claim_id, self._asked_ids = uuid4(), set()
        claimed, beyond = until_written(
            lambda again: ([], 0) if again and over() else self._claim(lifetime, run_id)
        )
        if not claimed:
            if over():  # perhaps before it could even ask
                return False
            wait = self._allowance.wait
            time.sleep(min(wait, LONGEST_PACE_S))
            return beyond > 0 or wait > 0
        self._record = Record(self._outbox, self._allowance, self._claim_id)
        try:
            self._remember()
            return self._send(claimed, over)
        finally:
            try:
                with transaction(self._engine) as connection:
                    claim.unclaim(connection, self._claim_id, self._record.begun)
            except (DatabaseUnavailable, DBAPIError) as error:
                OWED[self._claim_id] = self._record.begun
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

    def _remember(self) -> None:
        """Tells outside of the database that this claim was made, before anybody is called."""
        if self._outbox.mark is not None:
            made = Mark(self._allowance.deployment, self._allowance.claims)
            restored.remember(self._engine, self._outbox.mark, made)

    def _send(self, claimed: Sequence[Claimed], over: Callable[[], bool]) -> bool:
        size = max(1, self._channel.concurrency // FLIGHTS)
        windows = [claimed[start : start + size] for start in range(0, len(claimed), size)]
        flying: deque[Flight] = deque()
        go_on = not over()
        if go_on:
            self._record.begin(windows[0])
        try:
            for number, window in enumerate(windows):
                if any(message.claims for message in window):
                    go_on = self._land(flying) and go_on
                if not go_on:
                    break
                prepared, at = self._prepare(window, claimed[number * size :])
                landed = flying.popleft() if self._is_full(flying, window) else None
                answers = landed.land() if landed else []
                go_on = self._judge(landed, answers) and not over()
                if go_on and time.monotonic() - at > FRESH_S:
                    if landed is not None:
                        self._record.answers(landed, answers)
                        landed, answers = None, []
                    prepared, at = self._prepare(window, window)
                following = windows[number + 1] if go_on and number + 1 < len(windows) else ()
                latest = time.monotonic() + CALL_S
                ready = prepared if go_on else Prepared()
                marked = self._record.mark(landed, answers, ready, following)
                if marked:
                    flying.append(self._senders.depart(marked, latest))
        finally:
            # Answers wait for nobody's letters, whatever went wrong with those.
            go_on = self._land(flying) and go_on
        return go_on

    def _is_full(self, flying: Sequence[Flight], window: Sequence[Claimed]) -> bool:
        calls = sum(len(flight.submissions) for flight in flying)
        return calls + len(window) > self._channel.concurrency

    def _land(self, flying: deque[Flight]) -> bool:
        """Waits for the calls that are in flight, and records their answers."""
        go_on = True
        while flying:
            flight = flying.popleft()
            answers = flight.land()
            go_on = self._judge(flight, answers) and go_on
            self._record.answers(flight, answers)
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

        return until_written(ask)

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


def _with_kinds(claimed: Sequence[Claimed]) -> list[tuple[Claimed, Kind]]:
    """The messages whose kind this code knows; the others are held when their guard is asked."""
    found = []
    for message in claimed:
        try:
            found.append((message, load(message.kind)))
        except NotFound:
            continue
    return found
