"""IMAP servers that say what no real one does. An answer may hold {tag}."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from chalicelib.providers.imap.account import ImapAccount
from tests.providers.wire import Conversation

Answer = bytes | Conversation

CAPABILITIES = b"IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2"
GREETING = b"* OK [CAPABILITY " + CAPABILITIES + b"] ready\r\n"
DONE = b"{tag} OK done\r\n"
EXAMINED = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n" + DONE


def imap(
    greeting: Answer = GREETING,
    capabilities: bytes = CAPABILITIES,
    **answers: Answer | list[Answer],
) -> Conversation:
    """A server with these answers to commands by name (`uid_fetch` for UID FETCH); a list holds
    those to the first, second… time. What is not given is answered as it should be; after an answer
    that is a conversation, the connection is closed."""
    usual: dict[str, Answer | list[Answer]] = {
        "capability": b"* CAPABILITY " + capabilities + b"\r\n" + DONE,
        "authenticate": b"{tag} OK [CAPABILITY " + capabilities + b"] in\r\n",
        "login": b"{tag} OK [CAPABILITY " + capabilities + b"] in\r\n",
        "examine": EXAMINED,
        "logout": b"* BYE\r\n" + DONE,
    }
    usual.update(answers)

    def conversation(client: socket.socket) -> None:
        left = {name: list(chosen) for name, chosen in usual.items() if isinstance(chosen, list)}
        if not _say(client, greeting, b""):
            return
        # Unbuffered: an answer may go on reading where the command ends.
        with client.makefile("rb", buffering=0) as lines:
            while line := lines.readline():
                tag, _, command = line.partition(b" ")
                words = command.lower().decode("latin-1").split()
                if not words:  # what follows a challenge
                    continue
                name = "_".join(words[:2]) if words[0] == "uid" else words[0]
                chosen = left[name].pop(0) if left.get(name) else usual.get(name, DONE)
                if not _say(client, DONE if isinstance(chosen, list) else chosen, tag):
                    return

    return conversation


def _say(client: socket.socket, answer: Answer, tag: bytes) -> bool:
    if isinstance(answer, bytes):
        client.sendall(answer.replace(b"{tag}", tag))
        return True
    answer(client)
    return False


def account(port: int, **fields: Any) -> ImapAccount:
    given: Mapping[str, Any] = {"security": "none", "private_allowed": True, **fields}
    return ImapAccount("127.0.0.1", port, "compta@example.fr", "secret", **given)
