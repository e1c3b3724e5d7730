"""A link ends what it was made for, for ever, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.errors import BadRequest, NotConfigured
from chalicelib.outbox.unsubscribe import Subscription, headers, link, read, sign
from chalicelib.providers.mail.mime import compose
from chalicelib.providers.mail.port import Address, Mail
from chalicelib.signed_links import LONGEST

SECRET, PREVIOUS = "current-secret-of-more-than-32-characters", "previous-secret-of-32-characters…"
PUBLIC_URL = "https://ponctuel.example.fr/api"
MARKETING = Subscription("b1", "c-42", "marketing", 1042)

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
subscriptions = st.builds(Subscription, ids, ids, ids, st.integers(1, 2**63 - 1))


def token(subscription=MARKETING, stage="prod", secrets=(SECRET,)) -> str:
    return sign(subscription, stage=stage, secrets=secrets)


def accepted(text: str, stage="prod", secrets=(SECRET, PREVIOUS)) -> Subscription | None:
    try:
        return read(text, stage=stage, secrets=secrets)
    except BadRequest:
        return None


@given(subscriptions)
def test_a_link_says_again_what_it_was_made_for(subscription):
    text = token(subscription)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", text)
    assert len(text) <= LONGEST
    assert accepted(text) == subscription


@given(st.data())
def test_no_altered_cut_or_longer_link_is_accepted(data):
    text = token()
    position = data.draw(st.integers(0, len(text) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=%é "
    character = data.draw(st.sampled_from(alphabet))
    assume(character != text[position])
    assert accepted(text[:position] + character + text[position + 1 :]) is None
    assert accepted(text[:position]) is None
    assert accepted(text + character) is None
    assert accepted(character + text) is None


@given(st.text(max_size=80))
def test_no_other_text_is_accepted_or_crashes(text):
    assert accepted(text) is None
    assert accepted(f"1.{text}.{'A' * 43}") is None


def test_a_link_of_another_stage_is_refused():
    assert accepted(token(stage="essai")) is None
    assert accepted(token(), stage="essai") is None


def test_a_link_of_before_the_change_of_secret_is_accepted():
    old = token(secrets=(PREVIOUS,))
    assert accepted(old) == MARKETING
    assert accepted(old, secrets=(SECRET, None)) is None
    assert accepted(token(secrets=(SECRET, PREVIOUS)), secrets=(SECRET,)) == MARKETING


@given(st.lists(subscriptions, min_size=2, max_size=4, unique=True))
def test_two_subscriptions_have_two_links(different):
    assert len({token(subscription) for subscription in different}) == len(different)


@pytest.mark.parametrize("secrets", [(), (None, None), ("", " ")])
def test_without_a_secret_nothing_is_signed_or_accepted(secrets):
    with pytest.raises(NotConfigured):
        token(secrets=secrets)
    with pytest.raises(NotConfigured):
        read(token(), stage="prod", secrets=secrets)


def test_ids_that_are_too_long_for_a_header_are_refused():
    with pytest.raises(ValueError, match="too long"):
        token(replace(MARKETING, person="x" * 600))


def test_a_message_carries_both_headers_unbroken():
    longest = token(Subscription("b" * 125, "p" * 125, "c" * 125, 2**63 - 1))
    for text in (token(), longest):
        mail = Mail(
            reference="3f2a91bc-1",
            message_id="<1.0123456789abcdef@example.fr>",
            date=datetime(2026, 11, 21, tzinfo=UTC),
            sender=Address("relances@example.fr"),
            to=("client@example.fr",),
            subject="Bienvenue",
            text="Bonjour",
            headers=headers(PUBLIC_URL, text),
        )
        head = compose(mail).partition(b"\r\n\r\n")[0].decode().replace("\r\n ", " ")
        assert f"List-Unsubscribe: <{link(PUBLIC_URL, text)}>\r\n" in head
        assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in head


def test_one_click_is_not_offered_without_https():
    assert set(headers("http://127.0.0.1:8000/api", token())) == {"List-Unsubscribe"}
