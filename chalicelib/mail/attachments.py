"""The parts of an e-mail that are files."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import unquote

from chalicelib.mail.bodies import encoding_of
from chalicelib.mail.encoded_words import header_text
from chalicelib.mail.filenames import safe_name, unique
from chalicelib.mail.identity import ids_in
from chalicelib.mail.limits import Limits
from chalicelib.mail.parameters import Parameters, parameters
from chalicelib.mail.parsed import Part
from chalicelib.mail.sniff import OCTETS, sniffed
from chalicelib.mail.structure import Entity, header_fields
from chalicelib.mail.transfer import decoded

MAX_TYPE = 127


def disposition(part: Entity) -> tuple[str, Parameters]:
    """Its Content-Disposition: attachment, inline or `""`, and parameters."""
    return parameters(part.fields.get(b"content-disposition", (b"",))[0])


def attachment(raw: bytes, part: Entity, taken: set[str], limits: Limits, faults: set[str]) -> Part:
    """The file. Archives are never unpacked; an e-mail inside is an .eml file."""
    content, wrong = decoded(raw, part.begin, part.end, encoding_of(part))
    if wrong:
        faults.add("encoding")
    placed, said = disposition(part)
    kind = "message/rfc822" if part.type in ("message/rfc822", "message/global") else ""
    kind = kind or sniffed(content, part.type)
    if len(content) > limits.attachment:
        faults.add("size")
    content_id = next(iter(ids_in(part.fields.get(b"content-id", ()))), None)
    return Part(
        name=unique(_name(raw, part, said, kind, limits), taken),
        declared_type=part.type if len(part.type) <= MAX_TYPE else OCTETS,
        type=kind,
        size=len(content),
        inline=placed == "inline" or (placed != "attachment" and content_id is not None),
        content_id=content_id,
        sha256=sha256(content).digest(),
        content=content if len(content) <= limits.attachment else None,
    )


def _name(raw: bytes, part: Entity, said: Parameters, kind: str, limits: Limits) -> str:
    name = said.get("filename") or part.parameters.get("name") or ""
    if not name and kind == "message/rfc822":
        block = raw[part.begin : min(part.end, part.begin + limits.field)]
        subject = header_fields(block, limits, set())[0].get(b"subject", (b"",))[0]
        name = header_text(subject)[0].replace("/", "-")[:100]
        name = f"{name}.eml" if name else ""
    if "%" in name and "/" not in name and " " not in name:
        # Percent-encoding without the form of RFC 2231 that announces it.
        name = unquote(name, errors="replace") if "%20" in name or "%C3" in name.upper() else name
    return safe_name(name, kind)
