"""What makes two messages the same e-mail: the whole of their bytes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

# A Message-ID is a key of an index: PostgreSQL takes no more than 2,700 bytes there.
LONGEST_ID = 500
_END = re.compile(rb"\r?\n\r?\n|\Z")
_FIELD = re.compile(rb"^message-id[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Identity:
    """Hashes are in hexadecimal."""

    message_id: str
    has_message_id: bool
    header_sha256: str


def header_of(raw: bytes) -> bytes:
    """The header, without the empty line."""
    end = _END.search(raw)
    return raw[: end.start()] if end else raw


def identity(header: bytes, content_sha256: str) -> Identity:
    """Of a message with this header; without a Message-ID it gets one from its content."""
    header = header.rstrip(b"\r\n")
    found = _FIELD.search(header)
    text = b"".join(found[1].split()).decode("utf-8", "replace") if found else ""
    text = text.strip("<>").replace("\0", "")
    named = bool(text)
    if len(text) > LONGEST_ID:
        text = f"{sha256(text.encode()).hexdigest()}@long.invalid"
    return Identity(
        message_id=text if named else f"{content_sha256}@none.invalid",
        has_message_id=named,
        header_sha256=sha256(header).hexdigest(),
    )
