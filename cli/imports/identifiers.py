"""Ids made from what a file says: the same file gives the same ids, and they read well."""

from __future__ import annotations

import re
from hashlib import sha256

from cli.imports.folding import fold

_SIMPLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def identifier(text: str) -> str:
    """`text` itself when it can stand in a path ("F-2026-0042"), else `hashed_identifier`."""
    return text if _SIMPLE.fullmatch(text) else hashed_identifier(text)


def hashed_identifier(text: str) -> str:
    """The words of `text` and eight digits of its hash: "boulangerie-martin-1f0c9a2e"."""
    words = "-".join(fold(text).encode("ascii", "ignore").decode().split())[:40]
    return f"{words}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
