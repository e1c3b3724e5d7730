"""Which messages carry the link."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.billing import kinds as billing
from chalicelib.errors import ItemFailed, NotConfigured, SettingsError
from chalicelib.outbox.kinds import Claimed, Kind, load
from chalicelib.outbox.rendering import render, sample
from chalicelib.outbox.unsubscribe import Subscription, read
from chalicelib.outbox.unsubscribe_link import for_message
from chalicelib.settings import Settings

SECRET = "unsubscribe-secret-of-these-tests-0123456789"
CONFIGURED = {"PUBLIC_URL": "https://ponctuel.example.fr/api", "UNSUBSCRIBE_SECRET": SECRET}
MESSAGE = Claimed(1042, "B1", "x", "D1", "", "1", "email", "C1", None, {}, None, 0)
QUOTE = load("billing.quote_followup")
NEWS = Kind("x.news", "Lettre", "x", billing.still_wanted, timedelta(1), category="marketing")


def settings(**values: str) -> Settings:
    return Settings.from_mapping(CONFIGURED | values)


def category(kind: Kind) -> str:
    found = for_message(MESSAGE, kind, settings())
    assert found is not None
    token = found.url.removeprefix("https://ponctuel.example.fr/api/unsubscribe/")
    subscription = read(token, stage="local", secrets=[SECRET])
    assert replace(subscription, category="") == Subscription("B1", "C1", "", 1042)
    assert found.headers == {
        "List-Unsubscribe": f"<{found.url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    return subscription.category


def test_the_link_is_about_the_kind_or_about_all_marketing() -> None:
    assert category(QUOTE) == "billing.quote_followup"
    assert category(NEWS) == "marketing"
    assert category(replace(NEWS, unsubscribable=True)) == "marketing"


@pytest.mark.parametrize("name", ["billing.invoice_followup", "billing.invoice_letter"])
def test_nobody_unsubscribes_from_the_relance_of_an_invoice(name: str) -> None:
    assert for_message(MESSAGE, load(name), settings()) is None


def test_on_whatsapp_one_answers_stop() -> None:
    assert for_message(replace(MESSAGE, channel="whatsapp"), NEWS, settings()) is None


@pytest.mark.parametrize("missing", CONFIGURED)
def test_without_its_settings_marketing_waits_and_the_rest_goes_without(missing: str) -> None:
    lacking = settings(**{missing: ""})
    assert for_message(MESSAGE, QUOTE, lacking) is None
    with pytest.raises(NotConfigured, match=missing):
        for_message(MESSAGE, NEWS, lacking)


def test_a_setting_that_cannot_be_used_stops_both() -> None:
    for kind in (QUOTE, NEWS):
        with pytest.raises(SettingsError, match="UNSUBSCRIBE_SECRET"):
            for_message(MESSAGE, kind, settings(UNSUBSCRIBE_SECRET="short"))


def test_ids_that_are_too_long_for_a_link_hold_marketing_only() -> None:
    long = replace(MESSAGE, person="p" * 600)
    assert for_message(long, QUOTE, settings()) is None
    with pytest.raises(ItemFailed, match="trop longs"):
        for_message(long, NEWS, settings())


def test_the_letter_shows_the_whole_link_however_long() -> None:
    long = replace(MESSAGE, person="p" * 280)
    found = for_message(long, QUOTE, settings())
    assert found is not None
    assert len(found.url) > 500
    content: dict[str, Any] = sample("quote_followup") | {"unsubscribe_url": found.url}
    rendered = render("quote_followup", content)
    assert f"\nNe plus recevoir ce type de message\u00a0:\n{found.url}\n" in rendered.text
    assert f'href="{found.url}"' in rendered.html
    business = {"name": "Atelier Moreau"}
    bare = render("quote_followup", content | {"business": business})
    assert f"----\n\nNe plus recevoir ce type de message\u00a0:\n{found.url}\n" in bare.text


def test_a_letter_without_a_link_says_nothing_of_it() -> None:
    content = sample("quote_followup") | {"unsubscribe_url": None}
    rendered = render("quote_followup", content)
    assert "Ne plus recevoir" not in rendered.text + rendered.html
