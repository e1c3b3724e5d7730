from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import BadRequest
from chalicelib.providers.whatsapp.links import LONGEST_TEXT, click_to_chat


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour, votre facture F-1042 : 120 €",
        "50 % & plus #promo ? a=b + c/d",
        "Merci 🙏🏽 👨‍👩‍👧",
        "שלום مرحبا",
        "deux\nlignes",
        "https://exemple.fr/?a=1&b=2#c",
    ],
)
def test_the_text_arrives_as_it_was_written(text: str) -> None:
    link = urlsplit(click_to_chat("+33612345678", text))
    assert (link.scheme, link.netloc, link.path) == ("https", "wa.me", "/33612345678")
    assert parse_qs(link.query, strict_parsing=True) == {"text": [text]}
    assert not link.fragment


def test_without_a_text_the_link_is_the_number() -> None:
    assert click_to_chat("+33612345678") == "https://wa.me/33612345678"
    assert click_to_chat("+33612345678", " \x00 ") == "https://wa.me/33612345678"


@pytest.mark.parametrize(
    "number", ["", "0612345678", "0033612345678", "FR.1349", "+33 6", "+336\n"]
)
def test_what_is_no_international_number_has_no_link(number: str) -> None:
    with pytest.raises(BadRequest) as refused:
        click_to_chat(number, "Bonjour")
    assert refused.value.code == "invalid_recipient"


@pytest.mark.parametrize("text", ["a" * (LONGEST_TEXT + 1), "é" * LONGEST_TEXT, "a" * 5000])
def test_a_text_that_browsers_would_cut_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        click_to_chat("+33612345678", text)
    assert refused.value.code == "too_large"


@given(st.text(max_size=200))
def test_any_text_gives_an_address_in_ascii_that_has_one_parameter(text: str) -> None:
    link = click_to_chat("+33612345678", text)
    assert link.isascii()
    assert link.isprintable()
    assert set(parse_qs(urlsplit(link).query)) <= {"text"}
    assert not set(link) & set(" #\"<>'`")
