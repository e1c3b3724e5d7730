"""E-mail addresses, as people type them in a customer file and as servers take them.

Narrower than RFC 5321 on purpose: what SES and a server without SMTPUTF8 both accept. So the local
part is an unquoted ASCII word, and the domain has at least two labels. The library email-validator
was not taken: it checks one address and does not read what people type, accepts more than our
providers do, and would bring dnspython and idna into every cold start.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_ADDRESSES = 5
MAX_TEXT = 4000  # a longer cell is not a list of addresses
_MAX_ADDRESS, _MAX_LOCAL, _MAX_DOMAIN, _MAX_LABEL = (
    254,
    64,
    253,
    63,
)  # RFC 5321, 4.5.3.1; RFC 3696 errata

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SEPARATORS = re.compile(r"[;,\r\n]")
_COMMENT = re.compile(r"\([^()]*\)")
_NAMED = re.compile(r"[^<>]*<([^<>]*)>")
_CONNECTIVES = frozenset({"/", "|", "&", "-", "et", "ou"})
_AROUND = (
    "\ufeff\u200b'\"‘’“”«» "  # what a spreadsheet or a word processor leaves around an address
)
_LETTERS = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"})  # Unicode categories of a domain label


def parse_addresses(text: str | None) -> list[str]:
    """The distinct addresses of a cell such as `a@x.fr; Jean <b@y.fr>`, in order, five at most.

    Addresses are separated by `;`, `,`, a line break or blanks, and come out as `canonical_address`
    writes them; two that differ by case only are one. A part with anything else in it, such as
    `Bcc: a@x.fr`, is left out rather than guessed at. Never raises.
    """
    return list(_parsed(text)) if text and len(text) <= MAX_TEXT else []


# A letter asks three times for whom it is, and a business's letters have one sender.
@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for part in _SEPARATORS.split(text):
        for address in _addresses_of(_COMMENT.sub(" ", part)):
            found.setdefault(address.lower(), address)
    return tuple(found.values())[:MAX_ADDRESSES]


@lru_cache(maxsize=256)
def canonical_address(text: str) -> str | None:
    """The address with its domain in lower case and in ASCII (punycode), None if it is not valid.

    The local part stays as it is: only its own server knows whether case matters there.
    """
    local, _, domain = text.rpartition("@")
    if len(local) > _MAX_LOCAL or not _LOCAL.fullmatch(local):
        return None
    ascii_domain = canonical_domain(domain)
    if ascii_domain is None or len(local) + 1 + len(ascii_domain) > _MAX_ADDRESS:
        return None
    return f"{local}@{ascii_domain}"


@lru_cache(maxsize=256)
def canonical_domain(text: str) -> str | None:
    """The domain name in lower case and in ASCII (IDNA 2008), None if it is not a public one.

    The codec of the standard library is IDNA 2003, which sends `straße.de` to `strasse.de`, which
    may be somebody else.
    """
    if len(text) > _MAX_DOMAIN:
        return None
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFKC", text)
    labels = [_ascii_label(label) for label in text.lower().split(".")]
    if len(labels) < 2 or None in labels:
        return None
    domain = ".".join(label for label in labels if label)
    top = domain.rpartition(".")[2]
    return domain if len(domain) <= _MAX_DOMAIN and len(top) > 1 and not top.isdigit() else None


def _ascii_label(label: str) -> str | None:
    if not label.isascii():
        import unicodedata

        if label[2:4] == "--" or label[0] == "-" or label[-1] == "-":
            return None
        if unicodedata.category(label[0]).startswith("M"):
            return None
        if not all(c == "-" or unicodedata.category(c) in _LETTERS for c in label):
            return None
        label = "xn--" + label.encode("punycode").decode("ascii")
    return label if len(label) <= _MAX_LABEL and _LABEL.fullmatch(label) else None


def _addresses_of(part: str) -> list[str]:
    """All the addresses of one part, none if it holds anything that is not an address."""
    part = " ".join(part.split()).strip(_AROUND)
    if not part.isprintable():  # control, bidirectional and invisible characters
        return []
    named = _NAMED.fullmatch(part)
    words = [named[1]] if named else [word for word in part.split(" ") if word not in _CONNECTIVES]
    addresses = []
    for word in words:
        bare = word.strip(_AROUND)
        if bare[:7].lower() == "mailto:":
            bare = bare[7:]
        address = canonical_address(bare.removesuffix("."))
        if address is None:
            return []
        addresses.append(address)
    return addresses
