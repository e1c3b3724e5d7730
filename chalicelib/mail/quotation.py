"""What somebody newly wrote in an e-mail, without what it quotes and without the signature."""

from __future__ import annotations

import re

# What is looked at: nobody writes more before the point.
WINDOW, MAX_LINES = 20_000, 400
_ATTRIBUTION = re.compile(
    r"(?:le|on|am|el|il|em|op)\b.{0,400}?\b(?:a écrit|a ecrit|wrote|schrieb|escribió|ha scritto"
    r"|escreveu|schreef)\s*:?|.{3,200}[@>].{0,100}(?:a écrit|wrote)\s*:",
    re.IGNORECASE | re.DOTALL,
)
_BEGINS_ATTRIBUTION = re.compile(r"(?:le|on|am|el|il|em|op)\s+\S|.*[@>]", re.IGNORECASE)
_ENDS_ATTRIBUTION = re.compile(
    r"(?:écrit|ecrit|wrote|schrieb|escribió|scritto|escreveu|schreef)\s*:?\s*$", re.IGNORECASE
)
_SEPARATOR = re.compile(
    r"(?:[-_*=]{2,}\s*(?:message d.origine|message transf[ée]r[ée]|original message"
    r"|forwarded message|message transmis|reply message"
    r"|urspr.ngliche nachricht|mensaje original)\s*[-_*=]*"
    r"|d[ée]but du message (?:transf[ée]r[ée]|r[ée]exp[ée]di[ée])\s*:?|begin forwarded message\s*:"
    r"|_{20,}|-{5,}\s*\**\s*r[ée]pondre au-dessus.*|.{0,10}reply above this line.{0,10})",
    re.IGNORECASE,
)
# Outlook quotes a header: at least two of its lines, the sender's first.
_QUOTED_FROM = re.compile(r"\*?(?:de|from|von)\s*:\*?\s*\S", re.IGNORECASE)
_QUOTED_FIELD = re.compile(
    r"\*?(?:envoy[ée](?:\s+le)?|date|sent|à|a|to|cc|objet|subject|r[ée]pondre à|gesendet)\s*:",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"--\s*|—\s*")
_DEVICE = re.compile(
    r"(?:envoy[ée]e? (?:de|depuis|à partir d[eu]|avec|par) "
    r"|sent from (?:my |mail for|outlook|yahoo)"
    r"|(?:t[ée]l[ée]charger|get) outlook (?:pour|for) |provenance\s*:\s*courrier).{0,80}",
    re.IGNORECASE,
)
# How each of the above can begin: most lines do not, and are looked at once.
_NOTABLE = re.compile(
    r"[-_*=—>|]|(?:de|from|von|le|on|am|el|il|em|op|envoy|sent|t[ée]l|get|prov|d[ée]but|begin|r[ée]p)"
    r"|.{0,300}[@>]|.{0,10}reply",
    re.IGNORECASE,
)


def snippet(text: str, length: int) -> str:
    """The beginning of what is new, on one line, at most `length` characters. Of an e-mail that
    only forwards or only quotes: the beginning of all of it."""
    window = text[:WINDOW].replace("\u00a0", " ").replace("\u202f", " ")
    lines = [line.strip() for line in window.split("\n", MAX_LINES)[:MAX_LINES]]
    return _cut(_newly_written(lines, length), length) or _cut(lines, length)


def _newly_written(lines: list[str], enough: int) -> list[str]:
    found: list[str] = []
    number = size = 0
    while number < len(lines) and size <= enough:
        line = lines[number]
        if not _NOTABLE.match(line):
            found.append(line)
            size += len(line)
            number += 1
            continue
        if line.startswith((">", "|>")):
            number += 1
            continue
        if _SIGNATURE.fullmatch(line):
            return found
        if _SEPARATOR.fullmatch(line) or _quotes_header(lines, number):
            return found
        end = _attribution_end(lines, number)
        if end:
            following = next((line for line in lines[end:] if line), "")
            if not following.startswith(">"):
                return found
            number = end
            continue
        if not _DEVICE.fullmatch(line):
            found.append(line)
            size += len(line)
        number += 1
    return found


def _attribution_end(lines: list[str], begin: int) -> int:
    """The line behind an attribution that begins here, which may be folded over four; 0 when there
    is none."""
    if not lines[begin] or not _BEGINS_ATTRIBUTION.match(lines[begin][:200]):
        return 0
    for end in range(begin + 1, min(begin + 4, len(lines)) + 1):
        last = lines[end - 1]
        if not last or last.startswith(">"):
            return 0
        if _ENDS_ATTRIBUTION.search(last[-40:]):
            whole = " ".join(lines[begin:end])
            return end if len(whole) < 600 and _ATTRIBUTION.fullmatch(whole) else 0
    return 0


def _quotes_header(lines: list[str], begin: int) -> bool:
    if not _QUOTED_FROM.match(lines[begin]):
        return False
    following = [line for line in lines[begin + 1 : begin + 6] if line][:3]
    return sum(1 for line in following if _QUOTED_FIELD.match(line)) >= 2


def _cut(lines: list[str], length: int) -> str:
    words = " ".join(" ".join(lines).split())
    if len(words) <= length:
        return words
    whole = words[: length - 1].rpartition(" ")[0]
    return (whole if len(whole) > length // 2 else words[: length - 1]) + "…"
