"""Recipients and contents, checked before a provider sees them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chalicelib.providers.whatsapp.port import Template, Text
from chalicelib.providers.whatsapp.refusals import refusal

# A template with its variables has 1,024 characters at most (Meta, template components).
LONGEST_VARIABLE = 1024
MOST_VARIABLES = 100

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_VARIABLE = re.compile(r"[A-Za-z0-9_]{1,64}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# A variable may hold no line break, tab or more than four spaces in a row (Meta, error 132018).
# Non-breaking spaces, which French wants, are not among them.
_BLANKS = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")


def is_user_id(recipient: str) -> bool:
    """Whether this is a Meta business-scoped user id: `FR.…`, or `FR.ENT.…` for several
    portfolios (developers.facebook.com, business-scoped user ids, 28 May 2026)."""
    return _USER_ID.fullmatch(recipient) is not None


def is_number(recipient: str) -> bool:
    """Whether this is a number in E.164, with its plus sign."""
    return _NUMBER.fullmatch(recipient) is not None


def checked_recipient(provider: str, recipient: str) -> str:
    """The recipient as it is. Raises `ProviderError` (`invalid_recipient`)."""
    if not is_number(recipient) and not is_user_id(recipient):
        raise refusal(provider, "invalid_recipient")
    return recipient


def checked_text(provider: str, text: Text, longest: int) -> str:
    """The text, without control characters; line breaks, emoji and marks of writing direction stay.
    Raises `ProviderError`: `invalid_content` (empty) or `too_large`."""
    body = _CONTROLS.sub("", _storable(text.body).replace("\r\n", "\n")).strip()
    if not body:
        raise refusal(provider, "invalid_content")
    if len(body) > longest:
        raise refusal(provider, "too_large")
    return body


def checked_variables(provider: str, template: Template) -> dict[str, str]:
    """Name → value on one line; those in order are named "1", "2"… Raises `ProviderError`:
    `template_parameters` (a name that no template has), `invalid_content` (an empty value, which
    would leave a hole, or absurdly many) or `too_large`."""
    given = template.variables
    if not isinstance(given, Mapping):
        given = {str(number): value for number, value in enumerate(given, 1)}
    if not all(_VARIABLE.fullmatch(name) for name in given):
        raise refusal(provider, "template_parameters")
    found = {name: _BLANKS.sub(" ", _storable(value)).strip() for name, value in given.items()}
    if not all(found.values()) or len(found) > MOST_VARIABLES:
        raise refusal(provider, "invalid_content")
    if any(len(value) > LONGEST_VARIABLE for value in found.values()):
        raise refusal(provider, "too_large")
    return found


def _storable(text: str) -> str:
    """Halves of characters, which cannot be written in UTF-8, become question marks."""
    return _SURROGATES.sub("\ufffd", text)
