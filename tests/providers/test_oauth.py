"""Access tokens from Google and Microsoft, and what their refusals mean."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import SettingsError
from chalicelib.providers.https import Answer
from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.oauth import LONGEST_LIFE, Renewed, TokenIssuer
from sandbox import token_issuer
from tests.providers.wire import serving, until_closed

ISSUERS = ("google", "microsoft")


@pytest.fixture
def sandbox() -> Iterator[token_issuer.TokenIssuer]:
    with token_issuer.TokenIssuer() as running:
        yield running


def failure(issuer: TokenIssuer, token: str = "R.1") -> tuple[str, str]:
    """The code and the text of what `renew` raises."""
    with pytest.raises((ImapError, SettingsError)) as raised:
        issuer.renew(token)
    assert raised.value.__cause__ is None
    return raised.value.code, str(raised.value)


def test_google_gives_an_access_token_and_keeps_the_refresh_token(
    sandbox: token_issuer.TokenIssuer,
) -> None:
    granted = sandbox.grant("google")
    renewed = TokenIssuer(sandbox.url("google")).renew(granted)
    assert renewed == Renewed(sandbox.access_tokens[0], None, 3599)
    assert sandbox.paths == ["/token"]
    assert sandbox.asked == [
        {
            "grant_type": "refresh_token",
            "refresh_token": granted,
            "client_id": token_issuer.CLIENT,
            "client_secret": token_issuer.SECRET,
        }
    ]


def test_microsoft_is_asked_for_imap_and_gives_another_refresh_token(
    sandbox: token_issuer.TokenIssuer,
) -> None:
    granted = sandbox.grant("microsoft")
    renewed = TokenIssuer(sandbox.url("microsoft")).renew(granted)
    assert renewed.access_token == sandbox.access_tokens[0]
    assert {renewed.refresh_token} == sandbox.valid
    assert sandbox.paths == ["/common/oauth2/v2.0/token"]
    assert sandbox.asked[0]["scope"] == token_issuer.MICROSOFT_SCOPE


@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_revoked_authorisation_has_to_be_given_anew(
    sandbox: token_issuer.TokenIssuer, issuer: str
) -> None:
    granted = sandbox.grant(issuer)
    sandbox.revoke(granted)
    code, told = failure(TokenIssuer(sandbox.url(issuer)), granted)
    assert code == "reauthorise"
    assert issuer.title() in told
    assert "AADSTS" not in told
    assert granted not in told


@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_wrong_application_is_the_operators_and_names_the_setting(
    sandbox: token_issuer.TokenIssuer, issuer: str
) -> None:
    url = sandbox.url(issuer).replace(token_issuer.SECRET, "perime")
    code, told = failure(TokenIssuer(url), sandbox.grant(issuer))
    assert code == "oauth_client"
    assert f"{issuer.upper()}_OAUTH_URL" in told
    assert "perime" not in told


HTML = b"<!DOCTYPE html><html><title>Sorry...</title></html>"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error": "internal_failure"}'),
        (503, b'{"error": "temporarily_unavailable", "error_codes": [90033]}'),
        (503, HTML),
        (429, b'{"error": "rate_limit_exceeded"}'),
        (400, b'{"error": "temporarily_unavailable"}'),
        (400, HTML),
        (403, b""),
        (302, HTML),
        (200, HTML),
        (200, b"[]"),
        (200, b'{"token_type": "Bearer"}'),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": 12}'),
        (200, b'{"access_token": "a\\u0001b"}'),
        (200, b'{"access_token": "' + b"x" * 20_000 + b'"}'),
        # An error that is worth nothing with this status: a proxy has an opinion of its own.
        (500, b'{"error": "invalid_grant"}'),
        (400, b'{"error": ["invalid_grant"]}'),
        (400, b'{"error": {"invalid_grant": 1}}'),
    ],
)
def test_what_may_be_better_later_is_not_held_against_the_owner(
    sandbox: token_issuer.TokenIssuer, status: int, body: bytes
) -> None:
    sandbox.fault = (status, body, "text/html")
    assert failure(TokenIssuer(sandbox.url("google")))[0] == "unavailable"


def test_an_issuer_that_never_answers_or_cannot_be_reached_is_tried_later() -> None:
    with serving(until_closed) as port:
        url = f"google://client:secret@?base_url=http://127.0.0.1:{port}"
        assert failure(TokenIssuer(url, call_timeout=0.2))[0] == "connection"
    assert failure(TokenIssuer(url))[0] == "connection"


@pytest.mark.parametrize(
    "url",
    [
        "google://client@",
        "google://client:secret@tenant",
        "microsoft://client:secret@",
        "gitlab://client:secret@",
        "google://client:secret@?base_url=https://evil.example",
        "google://client:secret@?base_url=http://evil.example",
        "google://client:secret@?base=http://127.0.0.1",
        "google://client:s[ecret@",
    ],
)
def test_a_setting_that_cannot_be_followed_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        TokenIssuer(url)
    assert "secret@t" not in str(raised.value)
    assert "evil" not in str(raised.value)


def test_nothing_of_an_issuer_or_a_token_shows_in_its_repr(
    sandbox: token_issuer.TokenIssuer,
) -> None:
    issuer = TokenIssuer(sandbox.url("microsoft"))
    shown = repr(issuer) + repr(issuer.renew(sandbox.grant("microsoft")))
    for secret in (token_issuer.SECRET, sandbox.access_tokens[0], *sandbox.valid):
        assert secret not in shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["access_token", "refresh_token", "expires_in", "error"])


@given(st.integers(100, 599), st.dictionaries(NAMES, JSON) | JSON)
def test_whatever_an_issuer_answers_is_a_token_or_one_of_our_errors(
    status: int, content: object
) -> None:
    answer = Answer(status, {}, json.dumps(content).encode())
    issuer = TokenIssuer("google://client:secret@")
    try:
        renewed = issuer._understood(answer)
    except (ImapError, SettingsError) as error:
        assert error.code in {"reauthorise", "unavailable", "oauth_client"}  # noqa: PT017 - either
    else:
        assert renewed.access_token.isascii()
        assert 0 <= renewed.seconds <= LONGEST_LIFE
