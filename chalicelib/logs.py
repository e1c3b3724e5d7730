"""Structured logs and metrics. `logs.info("run_started", job="followups", run_id=…)`.

An event's name is a constant in snake_case; what varies goes in fields: ids, counts, codes, never
a secret, an address or a message's text (see `redaction`, which masks them all the same). A field
that holds an exception is written as its type, code and stack. AWS Lambda Powertools is imported
when the first line is written, not before.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools.metrics import EphemeralMetrics

NAMESPACE = "Ponctuel"

_bound: ContextVar[dict[str, object]] = ContextVar("ponctuel_log_fields")
_pending: dict[frozenset[tuple[str, str]], EphemeralMetrics] = {}
_lock = threading.Lock()


def debug(event: str, /, **fields: object) -> None:
    _write("DEBUG", event, fields)


def info(event: str, /, **fields: object) -> None:
    _write("INFO", event, fields)


def warning(event: str, /, **fields: object) -> None:
    _write("WARNING", event, fields)


def error(event: str, /, **fields: object) -> None:
    _write("ERROR", event, fields)


class bind:  # noqa: N801 - reads as a function: `with bind(job=…)`
    """Adds fields to every line written inside the `with` block, in this thread or task; a nested
    block adds to it. A thread started inside does not inherit them: start it with
    `contextvars.copy_context().run`."""

    def __init__(self, **fields: object) -> None:
        self._fields = fields
        self._token: Token[dict[str, object]] | None = None

    def __enter__(self) -> None:
        self._token = _bound.set({**_bound.get({}), **self._fields})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _bound.reset(self._token)


def metric(name: str, value: float, unit: str = "Count", **dimensions: str) -> None:
    """Adds one CloudWatch value, written at `flush_metrics`. `unit` is CloudWatch's ("Count",
    "Seconds", "Milliseconds", "Bytes"). Each set of dimensions is a metric that is paid for: a job
    or a kind, never an id. On `local` it is a debug line."""
    from chalicelib.settings import settings

    current = settings()
    if current.is_local:
        debug("metric", metric=name, value=value, unit=unit, **dimensions)
        return
    from aws_lambda_powertools.metrics import EphemeralMetrics

    values = {"stage": current.stage, **dimensions}
    with _lock:
        key = frozenset(values.items())
        if key not in _pending:
            _pending[key] = EphemeralMetrics(namespace=NAMESPACE, default_dimensions=values)
        _pending[key].add_metric(name=name, unit=unit, value=value)


def flush_metrics() -> None:
    """Writes pending values to standard output in CloudWatch's embedded format. Call it at the end
    of a run: what is pending when Lambda freezes is lost."""
    with _lock:
        for metrics in _pending.values():
            if metrics.metric_set:  # Powertools has written, and emptied, a set of a hundred
                metrics.flush_metrics()
        _pending.clear()


def _write(level: str, event: str, fields: dict[str, object]) -> None:
    from chalicelib.logs_format import LEVELS, configured, record_fields

    logger = configured()
    if logger.isEnabledFor(LEVELS[level]):
        extra = record_fields({**_bound.get({}), **fields})
        # 3: past this function and the one named after the level, to the caller's line.
        logger.log(LEVELS[level], event, extra=extra, stacklevel=3)
