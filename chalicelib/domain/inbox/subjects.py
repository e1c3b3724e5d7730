"""What a subject is once the marks of answers and forwards are off."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
_READ = 1_000

# Of French, English, German, Dutch, Scandinavian, Italian and Spanish clients.
_ANSWER = r"re|r[eé]p|r[eé]f|aw|sv|antw|rv"
_FORWARD = r"tr|fw|fwd|wg|vs|enc|i|rif"
# A mark, perhaps with a count, « Re[2]: »; or what a gateway puts in front, « [EXTERNE] ».
_MARK = re.compile(
    rf"\s*(?:(?:(?P<answer>{_ANSWER})|{_FORWARD})\s*(?:\[\d+\]|\(\d+\))?\s*:|\[[^\[\]]{{1,30}}\])\s*"
)


def subject_key(subject: str) -> str:
    """What an answer's subject shares with that of the e-mail it answers: lower case, one space
    between words, without the marks in front; at most 200 characters."""
    return _stripped(subject)[0][:LONGEST]


def is_answer(subject: str) -> bool:
    """Whether its marks say that it answers something; a forward does not."""
    return _stripped(subject)[1]


def _stripped(subject: str) -> tuple[str, bool]:
    rest = " ".join(unicodedata.normalize("NFKC", subject[:_READ]).casefold().split())
    answer = False
    while mark := _MARK.match(rest):
        answer = answer or mark["answer"] is not None
        rest = rest[mark.end() :]
    return rest, answer
