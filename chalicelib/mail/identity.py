"""Which e-mail it is: Message-IDs made comparable, and one for those that have none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from chalicelib.mail.charsets import decode
from chalicelib.mail.encoded_words import words
from chalicelib.mail.limits import DEFAULT, Limits
from chalicelib.mail.structure import Fields, header_end, header_fields, skip_mbox

# Longer ones are replaced by their hash: they have to fit into an index.
MAX_ID = 500
_BRACKETED = re.compile(r"<([^<>]*)>")
_BLANKS = re.compile(r"\s+")
# Fields that no server on the way or in the mailbox changes or adds.
_STABLE = (b"date", b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"in-reply-to",
           b"references", b"content-type")  # fmt: skip


@dataclass(frozen=True)
class Head:
    """What a header says of an e-mail's identity. `message_id` is None when there is none that can
    be used. `sha256` is of the header's bytes as they were given."""

    message_id: str | None
    sha256: bytes


@dataclass(frozen=True)
class Identity:
    """Of a whole e-mail. `message_id` is made up when `has_message_id` is false. `sha256` is of all
    of its bytes, `header_sha256` of those up to its first empty line, that line included."""

    message_id: str
    has_message_id: bool
    sha256: bytes
    header_sha256: bytes


def head(header: bytes) -> Head:
    """From a header alone, as a server answers `BODY.PEEK[HEADER]`, or its `Message-ID` field."""
    return Head(message_id_of(_fields(header)), sha256(header).digest())


def identify(raw: bytes) -> Identity:
    """From all the bytes. Agrees with `head` and `parse`."""
    end = header_end(raw, skip_mbox(raw))
    header = raw[:end]
    known = message_id_of(_fields(header))
    made = known or artificial_id(header, sha256(memoryview(raw)[end:]).digest())
    return Identity(made, known is not None, sha256(raw).digest(), sha256(header).digest())


def artificial_id(header: bytes, body_sha256: bytes) -> str:
    """The Message-ID of an e-mail without one: the same for the same content in whatever folder,
    whatever its servers noted in its header since. `body_sha256` is of all bytes behind the
    header. It ends in `.invalid` (RFC 2606), which no real one does."""
    fields = _fields(header)
    digest = sha256(body_sha256)
    for name in _STABLE:
        for value in fields.get(name, ()):
            digest.update(b"%s:%d:%s\n" % (name, len(value), b" ".join(value.split())))
    return f"{digest.hexdigest()[:40]}@sans-message-id.invalid"


def message_id_of(fields: Fields) -> str | None:
    """The first Message-ID that can be used, of however many there are."""
    for value in fields.get(b"message-id", ()):
        for found in _ids(value):
            return found
    return None


def reply_to_of(fields: Fields) -> str | None:
    """The message that In-Reply-To names; the first of several."""
    for value in fields.get(b"in-reply-to", ()):
        for found in _ids(value):
            return found
    return None


def references_of(fields: Fields, own: str | None, most: int) -> list[str]:
    """The Message-IDs of References, the root first, each once and without the e-mail's own. Of too
    many, the root and the last ones: those that are nearest say most."""
    found = dict.fromkeys(
        name for value in fields.get(b"references", ()) for name in _ids(value) if name != own
    )
    names = list(found)
    return names if len(names) <= most else [names[0], *names[len(names) - most + 1 :]]


def ids_in(values: Iterable[bytes]) -> list[str]:
    """All the Message-IDs of some fields, each once."""
    return list(dict.fromkeys(name for value in values for name in _ids(value)))


def _ids(value: bytes) -> list[str]:
    text, _ = decode(value)
    if "=?" in text:
        text = words(text)
    found = _BRACKETED.findall(text)
    if not found:  # brackets missing, or one of them
        found = [word for word in text.replace("<", " ").replace(">", " ").split() if "@" in word]
        found = found or [text.strip().strip("<>")]
    normalised = (_normalised(name) for name in found)
    return [name for name in normalised if name]


def _normalised(name: str) -> str:
    """Without blanks, which folding has put inside; `""` when nothing is left that could name
    anything."""
    name = _BLANKS.sub("", name)
    if not any(c.isalnum() for c in name):
        return ""
    if len(name.encode()) <= MAX_ID:
        return name
    return f"{sha256(name.encode()).hexdigest()[:40]}@trop-long.invalid"


def _fields(header: bytes, limits: Limits = DEFAULT) -> Fields:
    begin = skip_mbox(header)
    return header_fields(header[begin : header_end(header, begin)], limits, set())[0]
