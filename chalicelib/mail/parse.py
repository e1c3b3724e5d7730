"""A foreign e-mail's bytes, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chalicelib.errors import Unreadable
from chalicelib.mail import bounces, identity
from chalicelib.mail.addresses import parties
from chalicelib.mail.attachments import attachment, disposition
from chalicelib.mail.bodies import REPEATED, Bodies, encoding_of
from chalicelib.mail.dates import sent_at
from chalicelib.mail.encoded_words import header_text
from chalicelib.mail.limits import DEFAULT, Limits
from chalicelib.mail.nature import invites, nature_of
from chalicelib.mail.parsed import Bounce, Nature, ParsedMail, Part, Party
from chalicelib.mail.quotation import snippet
from chalicelib.mail.structure import Entity, Fields, entity, leaves, skip_mbox
from chalicelib.mail.transfer import decoded

MAX_SUBJECT = 1000
_READ = ("text/plain", "text/html")
# Machine-readable halves of reports: read here, of no use as files.
_REPORTS = frozenset({"message/delivery-status", "message/global-delivery-status",
                      "message/disposition-notification"})  # fmt: skip


def parse(raw: bytes, *, received: datetime | None, limits: Limits = DEFAULT) -> ParsedMail:
    """What the e-mail says. `received`: when its server received it, aware; judges its Date.

    Whatever the bytes, it takes time and memory in proportion to their number. Everything that had
    to be repaired, guessed or left out is a fault:

    - `header`: lines that are no fields, or one too long or too many of them;
    - `charset`: bytes that are not what their label says, or have none and are no UTF-8;
    - `encoding`: rubbish in base64 or uuencode, or a transfer encoding that does not exist;
    - `boundary`: a multipart whose boundary is missing, wrong, or never closed;
    - `depth`, `parts`, `size`: past the limit on multiparts inside each other, on parts, on bytes;
    - `html`: HTML that was too much for the sanitiser, of which only text is left;
    - `date`: no Date, one that cannot be read or cannot be true, or a zone that does not exist.

    Raises `Unreadable` for no bytes at all, and for nothing but blanks and NULs.
    """
    end = min(len(raw), limits.message)
    if not raw[:1024].strip(b"\0 \t\r\n\v\f") and not raw[:end].strip(b"\0 \t\r\n\v\f"):
        raise Unreadable("Le message est vide : le serveur n’en a donné aucun contenu.")
    faults: set[str] = set()
    if end < len(raw):
        faults.add("size")
    root = entity(raw, skip_mbox(raw), end, limits, faults)
    found = list(leaves(raw, root, limits, faults))
    bodies, parts, calendar = _contents(raw, found, limits, faults)

    fields = root.fields
    subject = _subject(fields, faults)
    people = parties(fields, limits.parties, faults)
    message_id = identity.message_id_of(fields)
    date = fields[b"date"][0] if b"date" in fields else None
    written, wrong_date = sent_at(date, received)
    if wrong_date:
        faults.add("date")
    text = bodies.text()
    nature, bounce = _nature(raw, root, found, subject, text, people, calendar, limits)
    return ParsedMail(
        message_id=message_id,
        in_reply_to=identity.reply_to_of(fields),
        references=identity.references_of(fields, message_id, limits.references),
        sent_at=written,
        subject=subject,
        parties=people,
        text=text,
        html=bodies.html(),
        snippet=snippet(text, limits.snippet),
        nature=nature,
        bounce=bounce,
        parts=parts,
        faults=sorted(faults),
    )


def _contents(
    raw: bytes, found: Sequence[Entity], limits: Limits, faults: set[str]
) -> tuple[Bodies, list[Part], bool]:
    """What is read, what is a file, and whether there is an invitation."""
    bodies, parts, calendar = Bodies(limits, faults), list[Part](), False
    taken: set[str] = set()
    for part in found:
        in_alternative = part.parent is not None and part.parent.type == "multipart/alternative"
        if (in_alternative and part.type in REPEATED) or part.type in _REPORTS:
            continue
        placed, said = disposition(part)
        named = bool(said.get("filename") or (part.parameters.get("name") and not in_alternative))
        is_file = placed == "attachment" or (named and part.parent is not None)
        if part.type.startswith("multipart/") or (part.type in _READ and not is_file):
            # A multipart that could not be taken apart is shown as it is.
            bodies.add(raw, part)
            continue
        if part.type == "text/calendar" and placed != "attachment":
            content, _ = decoded(raw, part.begin, min(part.end, part.begin + 40_000),
                                 encoding_of(part))  # fmt: skip
            calendar = calendar or invites(content)
        if part.begin < part.end or named:
            parts.append(attachment(raw, part, taken, limits, faults))
    return bodies, parts, calendar


def _subject(fields: Fields, faults: set[str]) -> str:
    subject, guessed = header_text((fields.get(b"subject") or [b""])[0])
    if guessed:
        faults.add("charset")
    if len(subject) > MAX_SUBJECT:
        faults.add("header")
    return subject[:MAX_SUBJECT].strip()


def _nature(
    raw: bytes,
    root: Entity,
    found: Sequence[Entity],
    subject: str,
    text: str,
    people: Sequence[Party],
    calendar: bool,
    limits: Limits,
) -> tuple[Nature, Bounce | None]:
    encoding = [encoding_of(part) for part in found]
    bounce, reported = bounces.from_report(raw, found, root.fields, encoding, limits)
    if bounce is None and not reported:
        ids = bounces.original_ids  # only looked for once it is one
        bounce = bounces.from_text(root.fields, subject, text, people, ())
        if bounce is not None:
            known = ids(raw, found, root.fields, encoding, limits)
            bounce = Bounce(bounce.recipients, known)
    if bounce is not None:
        return "bounce", bounce
    receipt = reported or root.type == "multipart/report"
    return nature_of(root.fields, subject, calendar=calendar, receipt=receipt), None
