"""A refusal of credentials, told apart from an outage by what servers really say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.providers.imap.refusals import MESSAGES, not_understood, refused, said_bye

REFUSED = [
    "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",  # Gmail
    "[ALERT] Application-specific password required: https://support.google.com/ (Failure)",
    "[ALERT] Please log in via your web browser: https://support.google.com/ (Failure)",
    "[ALERT] Invalid credentials (Failure)",
    "AUTHENTICATE failed.",  # Microsoft
    "LOGIN failed.",
    "LOGIN failed. Basic authentication is disabled.",
    "[AUTHENTICATIONFAILED] Authentication failed.",  # Dovecot
    "[AUTHORIZATIONFAILED] Authorization failed",
    "[EXPIRED] Password expired",
    "Login failed: authentication failure",  # Cyrus
    "LOGIN Login failed.",  # Courier
    "Error: Authentication failed",
    "Authentication failed: bad user or password",
    "Username and password not accepted",
    "Invalid login or password",
    "Incorrect username or password.",
    "Your account is not enabled for IMAP use",
    "SASL authentication failed",
    "Identifiant ou mot de passe incorrect",
]
NOT_NOW = [
    "[UNAVAILABLE] Temporary authentication failure. [mx:2026-11-30 10:00:00]",  # Dovecot
    "[UNAVAILABLE] Account is temporarily unavailable.",
    "[INUSE] Mailbox in use",
    "[LIMIT] Too many login failures",
    "[SERVERBUG] Internal error occurred. Refer to server log for more information.",
    "[ALERT] Too many simultaneous connections. (Failure)",  # Gmail
    "[ALERT] Account exceeded command or bandwidth limits. (Failure)",
    "Maximum number of connections from user+IP exceeded",
    "[THROTTLED] Account exceeded bandwidth limits",
    "Login failed, try again later",
    "Authentication failed: server error",
    "Server Unavailable. 15",  # Microsoft
    "User is authenticated but not connected.",
    "AUTHENTICATE failed. The server is busy",
    "[CONTACTADMIN] Call us",
    "",
    "no",
    "Désolé",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_refuses_the_credentials(text: str) -> None:
    assert refused("login", text.encode()).code == "credentials"


@pytest.mark.parametrize("text", NOT_NOW)
def test_what_only_cannot_now_or_cannot_be_placed(text: str) -> None:
    assert refused("login", text.encode()).code == "unavailable"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("User is authenticated but not connected.", "unavailable"),
        ("[UNAVAILABLE] Backend down", "unavailable"),
        ("[INUSE] Locked", "unavailable"),
        ("[SERVERBUG] Internal error", "unavailable"),
        ("Mailbox is in use, try again later", "unavailable"),
        ("[NONEXISTENT] Unknown Mailbox: x (Failure)", "folder"),
        ("[NOPERM] Permission denied", "folder"),
        ("Mailbox doesn't exist: x", "folder"),
    ],
)
def test_a_folder_that_cannot_be_opened(text: str, code: str) -> None:
    assert refused("open", text.encode()).code == code


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("[NONEXISTENT] Unknown Mailbox: x (Failure)", True),
        ("Mailbox doesn't exist: x", True),
        ("Mailbox does not exist", True),
        ("SELECT failed: no such mailbox", True),
        ("[NOPERM] Permission denied", False),
        ("[UNAVAILABLE] Mailbox does not exist for now", False),
        ("The folder cannot be opened", False),
    ],
)
def test_a_folder_is_missing_only_where_the_server_says_so(text: str, missing: bool) -> None:
    assert refused("open", text.encode()).missing is missing
    assert not refused("login", text.encode()).missing


def test_a_refused_folder_or_message_never_counts_against_the_credentials() -> None:
    for text in REFUSED:
        assert refused("open", text.encode()).code != "credentials"
        assert refused("other", text.encode()).code == "unavailable"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "credentials"), (401, "credentials"), (500, "unavailable")]
)
def test_the_status_that_xoauth2_is_refused_with_counts_before_words(
    status: int, code: str
) -> None:
    assert refused("login", b"Login failed", status=status).code == code
    assert refused("login", b"[UNAVAILABLE] x", status=status).code == "unavailable"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[UNAVAILABLE] Server shutting down.", "unavailable"),
        ("Too many connections", "unavailable"),
        ("[AUTHENTICATIONFAILED] no", "credentials"),
        ("Session expired, please login again.", "connection"),
        ("Login failed", "connection"),
        ("", "connection"),
    ],
)
def test_a_goodbye(text: str, code: str) -> None:
    assert said_bye(text.encode()).code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("User is authenticated but not connected.", "unavailable"),
        ("Server Unavailable. 15", "unavailable"),
        ("Command Argument Error. 11", "connection"),
        ("[CLIENTBUG] Invalid login or password", "connection"),
    ],
)
def test_an_outage_may_look_like_a_mistake_of_ours(text: str, code: str) -> None:
    assert not_understood(text.encode()).code == code


@given(st.sampled_from(["login", "open", "other"]), st.binary(max_size=300))
def test_any_refusal_is_told_in_words_of_ours(stage: str, text: bytes) -> None:
    error = refused(stage, text)  # type: ignore[arg-type]
    assert str(error) == MESSAGES[error.code]  # type: ignore[index]
    assert not error.permanent
