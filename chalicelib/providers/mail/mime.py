"""From a `Mail` to the bytes of RFC 5322 that are handed to a provider.

The same `Mail` always gives the same bytes: boundaries come from the Message-ID.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from chalicelib.errors import ProviderError
from chalicelib.providers.mail.addresses import canonical_address, canonical_domain
from chalicelib.providers.mail.headers import (
    CRLF,
    clean,
    disposition,
    fold,
    mailboxes,
    unstructured,
)
from chalicelib.providers.mail.port import Address, Attachment, Mail

MAX_NAME = 120
MAX_SUBJECT = 500
MAX_HEADER = 2000
MAX_FILENAME = 100

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_RESERVED = frozenset(
    {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id"}
    | {"mime-version", "return-path", "received"}
)
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
_MIME_TYPE = re.compile(r"(?:application|audio|font|image|model|text|video)/[A-Za-z0-9.+_-]{1,80}")
_NOT_IN_FILENAME = re.compile(r'[<>:"|?*/\\]')


@dataclass(frozen=True)
class Envelope:
    """Who the provider is told to send from and to: canonical ASCII addresses, each one once."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]


def message_id(outbox_id: int, key_digest: str, domain: str) -> str:
    """`<outbox id.digest@domain>`, the same for each attempt at one message.

    `key_digest` is a hexadecimal digest of the message's key: it keeps two databases, such as a
    copy used for tests, from giving one id to two messages. Raises `ValueError` if a part is not
    usable.
    SES puts its own Message-ID in place of this one: there, our reference travels as a tag.
    """
    ascii_domain = canonical_domain(domain)
    if ascii_domain is None or not re.fullmatch(r"[0-9a-f]{8,128}", key_digest) or outbox_id < 0:
        raise ValueError("a Message-ID needs an outbox id, a hexadecimal digest and a domain")
    return f"<{outbox_id}.{key_digest[:32]}@{ascii_domain}>"


def envelope(mail: Mail) -> Envelope:
    """The addresses of a message, checked. Raises `ProviderError`: permanent (`invalid_address`)
    for a recipient, transient (`sender`) when it is the sender's own address that is wrong."""
    sender = canonical_address(mail.sender.email)
    if sender is None:
        raise _unusable(
            "sender", "L’adresse d’expéditeur n’est pas valable : corrigez-la dans les réglages."
        )
    to = tuple(dict.fromkeys(_recipient(text) for text in mail.to))
    cc = tuple(address for address in dict.fromkeys(map(_recipient, mail.cc)) if address not in to)
    if not to:
        raise _unusable("invalid_address", "Le message n’a aucun destinataire.")
    return Envelope(sender, to, cc)


def compose(mail: Mail) -> bytes:
    """The message, lines ended by CRLF, in ASCII only. Names, subject and file names are cleaned:
    no value can add a header. Raises `ProviderError` for an unusable address (see `envelope`), and
    (`invalid_header`) for an unusable header, Message-ID or date without a zone."""
    people = envelope(mail)
    fields = [
        mailboxes("From", [(clean(mail.sender.name, MAX_NAME), people.sender)]),
        mailboxes("To", [("", address) for address in people.to]),
    ]
    if people.cc:
        fields.append(mailboxes("Cc", [("", address) for address in people.cc]))
    if mail.reply_to is not None:
        fields.append(mailboxes("Reply-To", [_reply_to(mail.reply_to)]))
    if not _MESSAGE_ID.fullmatch(mail.message_id) or len(mail.message_id) > MAX_HEADER:
        raise _unusable("invalid_header", "L’identifiant du message n’est pas valable.")
    fields += [
        unstructured("Subject", clean(mail.subject, MAX_SUBJECT)),
        fold("Date", [_rfc5322_date(mail.date)]),
        fold("Message-ID", [mail.message_id]),
        *(_extra(name, value) for name, value in mail.headers.items()),
        fold("MIME-Version", ["1.0"]),
    ]
    return b"".join(fields) + _body(mail)


def _body(mail: Mail) -> bytes:
    from hashlib import sha256

    # Neither quoted-printable nor base64 can hold "=_", so no part can hold a boundary.
    boundary = "=_" + sha256(mail.message_id.encode()).hexdigest()[:32]
    content = _text("plain", mail.text)
    if mail.html is not None:
        content = _multipart("alternative", boundary + "a", [content, _text("html", mail.html)])
    if mail.attachments:
        attachments = [_attachment(attachment) for attachment in mail.attachments]
        content = _multipart("mixed", boundary + "m", [content, *attachments])
    return content


def _text(subtype: str, text: str) -> bytes:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    return (
        fold("Content-Type", [f"text/{subtype};", "charset=utf-8"])
        + fold("Content-Transfer-Encoding", ["quoted-printable"])
        + CRLF
        + b"".join(map(_quoted, lines))
    )


# Most lines of a letter are those of every letter, its style sheet and its tables.
@lru_cache(maxsize=512)
def _quoted(line: str) -> bytes:
    # b2a_qp ends its soft line breaks as it finds the line ended.
    return b2a_qp(line.encode("utf-8", "replace") + CRLF, istext=True)


def _multipart(subtype: str, boundary: str, parts: list[bytes]) -> bytes:
    delimiter = f"--{boundary}\r\n".encode()
    return (
        fold("Content-Type", [f"multipart/{subtype};", f'boundary="{boundary}"'])
        + CRLF
        + b"".join(delimiter + part + CRLF for part in parts)
        + f"--{boundary}--\r\n".encode()
    )


def _attachment(attachment: Attachment) -> bytes:
    mime_type = attachment.mime_type
    if not _MIME_TYPE.fullmatch(mime_type):
        mime_type = "application/octet-stream"
    encoded = b64encode(attachment.content)
    return (
        fold("Content-Type", [mime_type])
        + fold("Content-Transfer-Encoding", ["base64"])
        + disposition(_filename(attachment.name, mime_type))
        + CRLF
        + b"".join(encoded[i : i + 76] + CRLF for i in range(0, len(encoded), 76))
    )


def _filename(name: str, mime_type: str) -> str:
    """A name that is safe to save under on any system: no folder, no reserved character."""
    name = re.split(r"[/\\]", clean(name, 10 * MAX_FILENAME))[-1]
    name = _NOT_IN_FILENAME.sub("_", name).strip(". ")
    if not name:
        return "document.pdf" if mime_type == "application/pdf" else "document"
    stem, dot, extension = name.rpartition(".")
    if len(name) > MAX_FILENAME and stem and len(extension) <= 10:
        return stem[: MAX_FILENAME - len(extension) - 1].rstrip(". ") + dot + extension
    return name[:MAX_FILENAME].rstrip(". ")


def _extra(name: str, value: str) -> bytes:
    reserved = name.lower() in _RESERVED or name.lower().startswith("content-")
    if reserved or not _FIELD_NAME.fullmatch(name):
        raise _unusable("invalid_header", "Un en-tête supplémentaire du message n’est pas permis.")
    return unstructured(name, clean(value, MAX_HEADER))


def _reply_to(address: Address) -> tuple[str, str]:
    email = canonical_address(address.email)
    if email is None:
        raise _unusable(
            "sender", "L’adresse de réponse n’est pas valable : corrigez-la dans les réglages."
        )
    return clean(address.name, MAX_NAME), email


def _recipient(text: str) -> str:
    address = canonical_address(text)
    if address is None:
        message = "L’adresse d’un destinataire n’est pas valable : corrigez-la dans sa fiche."
        raise _unusable("invalid_address", message)
    return address


def _rfc5322_date(date: datetime) -> str:
    if date.utcoffset() is None:
        raise _unusable("invalid_header", "La date du message n’a pas de fuseau horaire.")
    day, month = _DAYS[date.weekday()], _MONTHS[date.month - 1]
    return f"{day}, {date.day:02d} {month} {date.year:04d} {date:%H:%M:%S %z}"


def _unusable(code: str, message: str) -> ProviderError:
    return ProviderError("mail", message, permanent=code != "sender", code=code)
