"""Calls side by side: as many threads as may be concurrent, each with a provider of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from chalicelib.outbox.answers import answer
from chalicelib.outbox.channels import Channel, Provider
from chalicelib.outbox.settle import News
from chalicelib.outbox.submission import Submission


class Flight:
    """The calls of one window, under way."""

    def __init__(self, submissions: Sequence[Submission], calls: Sequence[Future[News]]) -> None:
        self.submissions = submissions
        self._calls = calls

    def land(self) -> list[News]:
        """The answers, in the order of the submissions, once all of them are there."""
        return [call.result() for call in self._calls]


class Senders:
    """The threads of one channel; they start with the first call."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._pool: ThreadPoolExecutor | None = None
        self._providers: list[Provider] = []
        self._idle: list[Provider] = []

    def __enter__(self) -> Senders:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        for provider in self._providers:
            provider.close()

    def depart(self, ready: Sequence[Submission], latest: float) -> Flight:
        """Calls the provider for each, side by side, and does not wait. A process that was frozen
        past `latest` (monotonic) calls nobody: its messages may have been taken over."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                max_workers=self._channel.concurrency, thread_name_prefix=self._channel.name
            )
        return Flight(ready, [self._pool.submit(self._one, one, latest) for one in ready])

    def _one(self, submission: Submission, latest: float) -> News:
        if time.monotonic() > latest:
            return News(submission.message.id, "submitting", "planned", {"wait": "0 seconds"})
        provider = self._idle.pop() if self._idle else self._new()
        try:
            return answer(submission, provider)
        finally:
            self._idle.append(provider)

    def _new(self) -> Provider:
        provider = self._channel.open()
        self._providers.append(provider)
        return provider
