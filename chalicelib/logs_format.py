"""How log lines look: JSON through Powertools on AWS, one readable line in a local terminal.

Imported with the first line that is written, because Powertools takes time to import.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import RESERVED_LOG_ATTRS

from chalicelib.errors import SettingsError
from chalicelib.redaction import scrub
from chalicelib.settings import settings

SERVICE = "ponctuel"
LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR")}
# Names that `logging` or Powertools keep for themselves: such a field gets a trailing underscore.
RESERVED = {*vars(logging.makeLogRecord({})), *RESERVED_LOG_ATTRS, "message", "service"}

_built: tuple[tuple[bool, str, str], logging.Logger] | None = None


def record_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields as a log record takes them."""
    return {f"{name}_" if name in RESERVED else name: value for name, value in fields.items()}


def configured() -> logging.Logger:
    """The logger, set up for the settings as they are now. Unusable settings never prevent logging:
    JSON and INFO are used then, so that the settings' own error can be written."""
    global _built
    current = settings()
    try:
        local, level, style = current.is_local, current.log_level, current.log_format
    except SettingsError:
        local, level, style = False, "INFO", "json"
    if style == "auto":
        style = "text" if local and sys.stderr.isatty() else "json"
    if _built is None or _built[0] != (local, level, style):
        _built = ((local, level, style), _build(local, level, style))
    return _built[1]


def _build(local: bool, level: str, style: str) -> logging.Logger:
    # On `local` standard output belongs to the commands' own answers.
    handler = _Handler("stderr" if local else "stdout")
    logger = logging.getLogger(SERVICE)
    for old in logger.handlers[:]:
        logger.removeHandler(old)
    logger.__dict__.pop("init", None)  # Powertools' mark of a logger that it set up before
    logger.propagate = False  # Lambda's root handler would write each line a second time
    if style == "text":
        handler.setFormatter(_TextFormatter())
        logger.addHandler(handler)
        logger.setLevel(level)
        return logger
    Logger(
        service=SERVICE,
        level=level,
        logger_handler=handler,
        json_serializer=_serialize,
        utc=True,
        use_rfc3339=True,
        log_record_order=["level", "message", "timestamp"],
    )
    return logger


def _serialize(line: Mapping[str, Any]) -> str:
    return json.dumps(scrub(line), ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stdout` or `sys.stderr` is at that moment, not when logging started."""

    def __init__(self, stream_name: str) -> None:
        self._stream_name = stream_name
        super().__init__(getattr(sys, stream_name))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = getattr(sys, self._stream_name)
        super().emit(record)


class _TextFormatter(logging.Formatter):
    """`10:32:05 INFO    run_started job=followups`, an exception's stack indented below."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in RESERVED}
        cleaned = scrub(fields)
        assert isinstance(cleaned, dict)
        below = "".join(_stack(value) for value in cleaned.values())
        pairs = "".join(f" {name}={_inline(value)}" for name, value in cleaned.items())
        time = self.formatTime(record, "%H:%M:%S")
        return f"{time} {record.levelname:<7} {record.msg}{pairs}{below}"


def _is_error(value: object) -> bool:
    return isinstance(value, dict) and "stack" in value and "type" in value


def _inline(value: object) -> str:
    if isinstance(value, dict) and _is_error(value):
        said = value.get("message") or value.get("code")
        return f"{value['type']}" + (f" ({said})" if said else "")
    if isinstance(value, str) and value.isprintable() and value and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _stack(value: object) -> str:
    if not isinstance(value, dict) or not _is_error(value):
        return ""
    frames = "".join(f"\n    {frame}" for frame in value["stack"])
    cause = value.get("cause")
    return f"{frames}\n  caused by {_inline(cause)}{_stack(cause)}" if cause else frames
