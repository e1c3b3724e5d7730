"""An e-mail's bytes cut into header, body and parts, without copying them.

Not the standard library's `email` package, which reads line by line: on an ordinary multipart of
5 kB its `policy.default` takes several times as long as all of `parse`, it nests a generator per
level, and each level sees each line. Here parts are offsets into the one `bytes`, boundaries are
found by search, and what the library's parser says of well-formed mails is compared in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from chalicelib.mail.limits import Limits
from chalicelib.mail.parameters import Parameters, parameters

Fields = dict[bytes, list[bytes]]

# All that anything here looks at: the rest of a header is not kept while it is read.
WANTED = frozenset(
    b"""message-id in-reply-to references date subject from sender reply-to to cc return-path
    content-type content-transfer-encoding content-disposition content-id content-location
    auto-submitted precedence x-auto-response-suppress x-autoreply x-autorespond x-autoresponder
    x-mail-autoreply x-autoreply-from x-failed-recipients list-id list-unsubscribe list-post
    x-ms-exchange-generated-message-source""".split()
)
# Values of one name that are kept: `To` may be there often, nothing a hundred times.
MAX_VALUES = 100
# Some servers make two CR of one.
_END = re.compile(rb"\n\r{0,2}\n|\r\r(?![\r\n])")
_NAME = re.compile(rb"[!-9;-~]+")
_BLANKS = (b" ", b"\t")
_SURELY_FIELD = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|received|return-path)"
    rb"[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
# What follows the boundary in a delimiter line.
_DELIMITED = re.compile(rb"(--)?[ \t]*(?:\r\n|\n|\r|\Z)")
_MBOX = re.compile(rb">?From [^\r\n]*(?:\r\n?|\n)")
_GUESSED = re.compile(rb"^--([^\s-][^\r\n]{0,200}?)[ \t]*\r?\n(?=content-[a-z-]+:)", re.I | re.M)


@dataclass
class Entity:
    """A part, or the whole: `begin` to `end` are its body. `parent`: the multipart it is in;
    `default`: its type when it names none."""

    fields: Fields
    begin: int
    end: int
    default: str = "text/plain"
    parent: Entity | None = None
    depth: int = 0
    type: str = ""
    parameters: Parameters = field(default_factory=dict)


def header_end(raw: bytes, begin: int = 0, end: int | None = None) -> int:
    """Where the body begins: behind the first empty line; at the end when there is none. A header
    that is empty has its empty line at the very beginning."""
    end = len(raw) if end is None else end
    for blank in (b"\r\n", b"\n", b"\r"):
        if raw.startswith(blank, begin, end):
            return begin + len(blank)
    # The usual end is found so ten times sooner than by the expression.
    usual = raw.find(b"\n\r\n", begin, end)
    before = usual + 1
    if usual >= 0 and raw.find(b"\n\n", begin, before) < 0 > raw.find(b"\r\r", begin, before):
        return usual + 3
    found = _END.search(raw, begin, end)
    return found.end() if found else end


def skip_mbox(raw: bytes) -> int:
    """How long the `From ` line of an mbox file is, at the beginning; 0 when there is none."""
    found = _MBOX.match(raw)
    return found.end() if found else 0


def header_fields(block: bytes, limits: Limits, faults: set[str]) -> tuple[Fields, int | None]:
    """The fields of a header that are of use here, by name in lower case and unfolded, and where
    the body begins when that is before the end of the block. A line that is no field is left out
    when fields follow it, and begins the body when none does."""
    if len(block) > limits.header:
        faults.add("header")
        block = block[: limits.header]
        block = block[: max(block.rfind(b"\n"), block.rfind(b"\r")) + 1] or block
    well_formed = _well_formed(block, limits, faults)
    if well_formed is not None:
        return well_formed, None
    fields: Fields = {}
    pieces: list[bytes] | None = None  # of the field that is being read, when it is of use
    found: list[tuple[bytes, list[bytes]]] = []
    position, last_field, seen = 0, -1, False
    body: int | None = None
    for line in block.splitlines(keepends=True):
        position += len(line)
        if line[:1] in _BLANKS:
            if pieces is not None:
                pieces.append(line)
            continue
        name, colon, rest = line.partition(b":")
        name = name.lower()
        if name in WANTED or (name := name.rstrip(b" \t")) in WANTED:
            pieces = [rest]
            found.append((name, pieces))
            seen = True
        elif colon and _NAME.fullmatch(name):
            pieces, seen = None, True
        elif line.strip(b"\r\n"):
            faults.add("header")
            if last_field < 0:
                last_field = max((m.start() for m in _SURELY_FIELD.finditer(block)), default=0)
            if not seen or last_field < position:
                body = position - len(line)
                break
            pieces = None
    for name, pieces in found:
        _add(fields, name, b"".join(pieces).translate(None, b"\r\n"), limits, faults)
    return fields, body


def _well_formed(block: bytes, limits: Limits, faults: set[str]) -> Fields | None:
    """The same of a header that has nothing but fields and the usual line ends, as nearly all have,
    in a third of the time; None of any other."""
    block = block.replace(b"\r\n", b"\n")
    if b"\r" in block or block[:1] in _BLANKS:
        return None
    fields: Fields = {}
    for line in block.replace(b"\n ", b" ").replace(b"\n\t", b"\t").split(b"\n"):
        name, colon, value = line.partition(b":")
        name = name.lower()
        if name in WANTED and colon:
            _add(fields, name, value, limits, faults)
        elif line and not (colon and _NAME.fullmatch(name)):
            return None
    return fields


def _add(fields: Fields, name: bytes, value: bytes, limits: Limits, faults: set[str]) -> None:
    values = fields.setdefault(name, [])
    if len(values) < MAX_VALUES:
        value = value.strip()
        if len(value) > limits.field:
            faults.add("header")
        values.append(value[: limits.field])


def entity(
    raw: bytes, begin: int, end: int, limits: Limits, faults: set[str], default: str = "text/plain"
) -> Entity:
    """Header and body of what is there."""
    body = header_end(raw, begin, end)
    block = raw[begin : min(body, begin + limits.header + 1)]
    fields, early = header_fields(block, limits, faults)
    found = Entity(fields, body if early is None else begin + early, end, default)
    _say_type(found, faults)
    return found


def _say_type(entity: Entity, faults: set[str]) -> None:
    value = entity.fields.get(b"content-type", (b"",))[0]
    kind, entity.parameters = parameters(value)
    if "/" not in kind:
        # RFC 2045, 5.2: what cannot be read is text/plain.
        if value and kind not in ("text", ""):
            faults.add("header")
        kind = "text/plain" if value else entity.default
    entity.type = kind


def leaves(raw: bytes, root: Entity, limits: Limits, faults: set[str]) -> Iterator[Entity]:
    """The parts that are no multiparts, in order, as many as `limits.parts`. A multipart without
    its boundary, or nested too deep, is itself such a part."""
    stack, count = [root], 0
    while stack:
        found = stack.pop()
        children: list[Entity] = []
        if found.type.startswith("multipart/"):
            if found.depth >= limits.depth:
                faults.add("depth")
            else:
                children = _children(raw, found, limits, faults)
        if children:
            stack.extend(reversed(children))
            if len(stack) > limits.parts:
                faults.add("parts")
            continue
        count += 1
        if count > limits.parts:
            faults.add("parts")
            return
        yield found


def _children(raw: bytes, parent: Entity, limits: Limits, faults: set[str]) -> list[Entity]:
    boundary = parent.parameters.get("boundary", "").encode("utf-8", "replace").rstrip()
    spans, closed = _spans(raw, parent, boundary, limits.parts + 1) if boundary else ([], False)
    if not spans:
        faults.add("boundary")
        guess = _GUESSED.search(raw, parent.begin, min(parent.end, parent.begin + 20_000))
        if guess is None:
            return []
        spans, closed = _spans(raw, parent, guess[1].rstrip(), limits.parts + 1)
    if not closed and len(spans) <= limits.parts:
        faults.add("boundary")
    default = "message/rfc822" if parent.type == "multipart/digest" else "text/plain"
    children = []
    for begin, end in spans:
        child = entity(raw, begin, end, limits, faults, default)
        child.parent, child.depth = parent, parent.depth + 1
        children.append(child)
    return children


def _spans(
    raw: bytes, parent: Entity, boundary: bytes, most: int
) -> tuple[list[tuple[int, int]], bool]:
    """Where the parts between delimiter lines begin and end, and whether the last was closed. The
    line break before a delimiter belongs to it (RFC 2046, 5.1.1)."""
    delimiter = b"--" + boundary
    spans: list[tuple[int, int]] = []
    begin, position = -1, parent.begin
    # Not by an expression with the boundary in it: each e-mail has its own, and to compile them
    # took a quarter of the time.
    while (at := raw.find(delimiter, position, parent.end)) >= 0:
        found = _DELIMITED.match(raw, at + len(delimiter), parent.end)
        if found is None:
            position = at + 1
            continue
        position = found.end()
        if at > parent.begin and raw[at - 1] not in b"\r\n":
            continue
        if begin >= 0:
            end = at
            if end > begin and raw[end - 1] == 10:
                end -= 1
            if end > begin and raw[end - 1] == 13:
                end -= 1
            spans.append((begin, end))
        if found[1]:
            if begin >= 0:
                return spans, True
            continue  # a closing line before any other one
        begin = found.end()
        if len(spans) >= most:
            return spans, False
    if 0 <= begin < parent.end:
        spans.append((begin, parent.end))
    return spans, False
