"""From the greeting to being logged in, and what the server can do then."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable

from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.conversation import Asked, Conversation, Done
from chalicelib.providers.imap.refusals import fault, not_understood, refused

# Of challenges and the like before the end of a command: no mechanism of ours has more than one.
_MOST_ASKED = 3
_CAPABILITY_CODE = re.compile(rb"\[CAPABILITY ([^\]]{0,10000})\]", re.IGNORECASE)


def log_in(conversation: Conversation, account: ImapAccount) -> frozenset[bytes]:
    """The server's capabilities, in capitals, once logged in. Raises `ImapError`."""
    capabilities = _greeting(conversation)
    if account.security == "starttls":
        if b"STARTTLS" not in (capabilities or _capabilities(conversation)):
            raise fault("connection")
        conversation.run(b"STARTTLS")
        conversation.wire.encrypt(account)
        capabilities = frozenset()  # said in clear, perhaps by somebody else
    capabilities = capabilities or _capabilities(conversation)
    text = _authenticate(conversation, account, capabilities)
    return _told(text) or _capabilities(conversation)


def _greeting(conversation: Conversation) -> frozenset[bytes]:
    said = conversation.next()
    # PREAUTH: we would be in a mailbox that nobody has shown to be ours.
    if isinstance(said, Asked | Done) or said.name != b"OK":
        raise conversation.nonsense()
    return _told(said.line)


def _authenticate(
    conversation: Conversation, account: ImapAccount, capabilities: frozenset[bytes]
) -> bytes:
    if "\0" in account.username + account.secret:  # no server can take it
        raise fault("credentials")
    user, secret = account.username.encode(), account.secret.encode()
    if account.auth == "xoauth2":
        bearer = b"user=" + user + b"\x01auth=Bearer " + secret + b"\x01\x01"
        return _sasl(conversation, b"XOAUTH2", bearer, initial=b"SASL-IR" in capabilities)
    if b"AUTH=PLAIN" in capabilities:
        plain = b"\0" + user + b"\0" + secret
        return _sasl(conversation, b"PLAIN", plain, initial=b"SASL-IR" in capabilities)
    if b"LOGINDISABLED" in capabilities:
        raise fault("connection")
    return _login(conversation, user, secret)


def _sasl(conversation: Conversation, mechanism: bytes, answer: bytes, *, initial: bool) -> bytes:
    """The text of the OK."""
    encoded = base64.b64encode(answer)
    command = b"AUTHENTICATE " + mechanism
    conversation.start(command + b" " + encoded if initial else command)
    answered, asked, status = initial, 0, None
    while not isinstance(said := conversation.next(), Done):
        if isinstance(said, Asked):
            asked += 1
            if asked > _MOST_ASKED:
                raise conversation.nonsense()
            # After our answer, what XOAUTH2 asks is no question: it says what is wrong, and wants
            # an empty line to go on.
            status = _status(said.text) if answered else None
            conversation.wire.send((b"" if answered else encoded) + b"\r\n")
            answered = True
    return _ok(said, status)


def _login(conversation: Conversation, user: bytes, secret: bytes) -> bytes:
    """LOGIN, with what a quoted string cannot hold as literals."""
    command = b"LOGIN"
    waiting: list[bytes] = []
    for word in (user, secret):
        if word.isascii() and not re.search(rb"[\r\n]", word):
            command += b' "' + re.sub(rb'([\\"])', rb"\\\1", word) + b'"'
        else:
            command += b" {%d}" % len(word)
            waiting.append(command)
            command = word
    waiting.append(command)
    conversation.start(waiting.pop(0))
    while not isinstance(said := conversation.next(), Done):
        if isinstance(said, Asked):
            if not waiting:
                raise conversation.nonsense()
            conversation.wire.send(waiting.pop(0) + b"\r\n")
    return _ok(said)


def _ok(done: Done, status: int | None = None) -> bytes:
    if done.status == b"NO":
        raise refused("login", done.text, status=status)
    if done.status != b"OK":
        raise not_understood(done.text)
    return done.text


def _status(challenge: bytes) -> int | None:
    try:
        told = json.loads(base64.b64decode(challenge))
        return int(str(told["status"])[:3])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _capabilities(conversation: Conversation) -> frozenset[bytes]:
    kept, text = conversation.run(b"CAPABILITY", keep={b"CAPABILITY"})
    return _words(response.line for response in kept) or _told(text)


def _told(text: bytes) -> frozenset[bytes]:
    found = _CAPABILITY_CODE.match(text)
    return _words([found[1]]) if found else frozenset()


def _words(lines: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(word.upper() for line in lines for word in line.split())
