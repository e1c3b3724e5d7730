"""What may be written in a log: secrets, addresses and other people's error texts are left out.

Callers log ids only; this is the second lock on the same door.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from types import TracebackType

from chalicelib.errors import PonctuelError

MASK = "•••"
LONGEST_TEXT = 500
FRAMES = 12
CAUSES = 3
# A shorter one is a word ("postgres"), and would blank innocent text.
SHORTEST_SECRET = 10

SENSITIVE_NAME = re.compile(r"authorization|body|passw|phone|recipient|secret|token", re.IGNORECASE)
PATTERNS = (
    (re.compile(r"(bearer\s+|secret=)[^\s&\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"://[^\s/@]{1,256}@"), f"://{MASK}@"),
    (re.compile(r"[^\s/@<>\"',;:()]{1,64}@[^\s/@<>\"',;:()]+\.\w{2,}"), MASK),
    (re.compile(r"(?<!\w)\+\d{8,15}(?!\d)"), MASK),
)
# Codes are short identifiers; anything else could be a sentence about somebody.
CODE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")

_concealed: set[str] = set()


def conceal(*secrets: str) -> None:
    """From now on, in this process, these texts are masked wherever they appear."""
    _concealed.update(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)


def scrub(value: object, name: str = "") -> object:
    """`value` as plain JSON data, without secrets, e-mail addresses and phone numbers. An exception
    becomes its description; `name` is the field's, and some names hide any text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return scrub(describe(value))
    if isinstance(value, Mapping):
        return {scrub_text(str(key)): scrub(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item, name) for item in value]
    return MASK if SENSITIVE_NAME.search(name) else scrub_text(str(value))


def scrub_text(text: str) -> str:
    """Masks before it cuts, so that no half of a secret is left at the end."""
    for secret in _concealed:
        text = text.replace(secret, MASK)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def describe(error: BaseException) -> dict[str, object]:
    """Type, code, stack and cause of an exception. Only our own errors keep their text: another
    library's may quote a DSN, a row or a recipient."""
    return _describe(error, CAUSES)


def _describe(error: BaseException, causes: int) -> dict[str, object]:
    kind = type(error)
    found: dict[str, object] = {"type": f"{kind.__module__}.{kind.__qualname__}"}
    code = _code(error)
    if code is not None and CODE.fullmatch(code):
        found["code"] = code
    if isinstance(error, PonctuelError):
        found["message"] = str(error)
    found["stack"] = _frames(error.__traceback__)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and causes:
        found["cause"] = _describe(cause, causes - 1)
    return found


def _code(error: BaseException) -> str | None:
    """SQLSTATE, AWS error code or errno."""
    if isinstance(error, PonctuelError):
        return error.code
    if "sqlalchemy" in sys.modules:  # or it cannot be a database error, and would be imported here
        from chalicelib.db.sqlstate import sqlstate

        if state := sqlstate(error):
            return state
    response = getattr(error, "response", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        return str(response["Error"].get("Code", ""))
    return f"errno:{error.errno}" if isinstance(error, OSError) and error.errno else None


def _frames(traceback: TracebackType | None) -> list[str]:
    """`directory/module.py:line function`, the innermost last; no source text."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = "/".join(code.co_filename.replace("\\", "/").split("/")[-3:])
        frames.append(f"{file}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return frames[-FRAMES:]
