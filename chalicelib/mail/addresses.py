"""Who an e-mail is from and to: address lists as they come, not as RFC 5322 has them."""

from __future__ import annotations

import re

from chalicelib.mail.charsets import decode
from chalicelib.mail.encoded_words import one_line, words
from chalicelib.mail.parsed import Party
from chalicelib.mail.structure import Fields

ROLES = ((b"from", "from"), (b"sender", "sender"), (b"reply-to", "reply_to"), (b"to", "to"),
         (b"cc", "cc"))  # fmt: skip
MAX_EMAIL, MAX_NAME = 320, 300  # RFC 3696, errata 1690; a longer name is no name
# The form of nearly all: a name without anything special, then the address.
_USUAL = re.compile(
    r'\s*(?:"([^"\\<>]*)"|([^"\\<>(),;:@]*?))\s*<([^\s"\\<>(),;:@]+@[^\s"\\<>(),;:@]+)>\s*'
)
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"?|<([^<>]*)>?|([(),;:])|([^"<(),;:]+|.)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ATOM = r'[^\s@<>"(),;:\\\x00-\x1f]+'
_EMAIL = re.compile(rf'(?:"[^"\x00-\x1f]{{1,64}}"|{_ATOM})@{_ATOM}')
_IN_TEXT = re.compile(r'[^\s@<>"(),;:\\\[\]]{1,64}@[^\s@<>"(),;:\\\[\]]{1,253}')


def parties(fields: Fields, most: int, faults: set[str]) -> list[Party]:
    """Everybody in From, Sender, Reply-To, To and Cc, in this order, each address once in each."""
    found: list[Party] = []
    for name, role in ROLES:
        seen: set[str] = set()
        for value in fields.get(name, ()):
            text, guessed = decode(value)
            if guessed:
                faults.add("charset")
            for who, email in address_list(text):
                if (email or who) not in seen:
                    seen.add(email or who)
                    if len(found) >= most:
                        faults.add("header")
                        return found
                    found.append(Party(role, email, who))
    return found


def address_list(text: str) -> list[tuple[str, str]]:
    """(name, e-mail) of each mailbox of a list, the address in lower case and `""` when there is
    none that can be read. Names of groups are left out, their members are not."""
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        return [_mailbox(usual[1] or usual[2] or "", usual[3])]
    found: list[tuple[str, str]] = []
    name: list[str] = []
    bracketed: str | None = None
    comment: list[str] = []
    depth = 0

    def close() -> None:
        nonlocal bracketed
        plain = "".join(name)
        aside = " ".join(comment)
        if bracketed is not None or plain.strip() or aside.strip():
            found.extend(_read(plain, bracketed, aside))
        name.clear()
        comment.clear()
        bracketed = None

    for token in _TOKEN.finditer(text):
        quoted, address, special, plain = token.groups()
        if special == "(":
            depth += 1
        elif special == ")":
            depth = max(0, depth - 1)
        elif depth:
            comment.append(quoted or plain or "")
        elif special in (",", ";"):
            close()
        elif special == ":":
            if bracketed is None and "@" not in "".join(name):
                name.clear()  # it was the name of a group
        elif quoted is not None:
            # A local part between quotation marks goes on after them.
            rest = text[token.end() : token.end() + 1]
            name.append(f'"{quoted}"' if rest == "@" else _ESCAPED.sub(r"\1", quoted))
        elif address is not None:
            # Of two, the last: `<nom@x> <adresse@y>` has the first one as its name.
            if bracketed is not None:
                name.append(bracketed)
            bracketed = address
        else:
            name.append(plain)
    close()
    return found


def _read(plain: str, bracketed: str | None, comment: str) -> list[tuple[str, str]]:
    if bracketed is not None:
        return [_mailbox(plain.strip() or comment, bracketed)]
    bare = plain.strip().strip("'")
    if _EMAIL.fullmatch(bare):
        return [_mailbox(comment, bare)]
    # Brackets forgotten: `Jean Petit jean@x.fr`, or several addresses with blanks between them.
    emails = list(_IN_TEXT.finditer(bare))
    if not emails:
        return [_mailbox(plain or comment, "")]
    before = bare[: emails[0].start()]
    return [_mailbox(before if n == 0 else "", m[0]) for n, m in enumerate(emails)]


def _mailbox(name: str, email: str) -> tuple[str, str]:
    email = one_line(email).strip("'").removeprefix("mailto:")
    if '"' not in email:
        email = email.replace(" ", "")
    if ":" in email:  # a route (RFC 822): @a,@b:user@host
        email = email.rpartition(":")[2]
    email = email.rstrip(".").lower()
    if len(email) > MAX_EMAIL or _EMAIL.fullmatch(email) is None:
        email = ""
    shown = words(name).strip(" '\"")[:MAX_NAME].strip()
    return shown, email
