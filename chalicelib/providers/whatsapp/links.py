"""wa.me links: they open WhatsApp on a conversation with a text ready to be sent.

Opening one sends nothing, and it is the person at the keyboard who sends: a link is neither a
message of ours nor a proof of one (faq.whatsapp.com, "How to use click to chat").
"""

from __future__ import annotations

import re
from urllib.parse import quote

from chalicelib.errors import BadRequest

# Our own limits. WhatsApp states none; browsers and mail programs cut addresses from about 8,000
# characters on, and one emoji alone is 12 of them once encoded.
LONGEST_TEXT = 2000
LONGEST_LINK = 8000

_NUMBER = re.compile(r"\+([1-9][0-9]{6,14})")
_NOT_WRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def click_to_chat(number: str, text: str = "") -> str:
    """`https://wa.me/<digits>?text=<percent-encoded>` for a number in E.164.

    Line breaks, emoji, `#`, `&` and right-to-left text arrive as they are; control characters are
    left out. Raises `BadRequest`: `invalid_recipient` (also for a business-scoped user id, which
    has no link) or `too_large`.
    """
    found = _NUMBER.fullmatch(number)
    if found is None:
        raise BadRequest(
            "Un lien WhatsApp demande un numéro international, comme +33612345678.",
            code="invalid_recipient",
        )
    written = quote(_NOT_WRITABLE.sub("", text.replace("\r\n", "\n")).strip(), safe="")
    link = f"https://wa.me/{found[1]}" + (f"?text={written}" if written else "")
    if len(text) > LONGEST_TEXT or len(link) > LONGEST_LINK:
        raise BadRequest("Le texte du lien WhatsApp est trop long.", code="too_large")
    return link
