"""The link to a closer's page: what it holds, and whom it still opens something to."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import settings as settings_module
from chalicelib.domain.leads import closer_link
from chalicelib.errors import BadRequest, NotConfigured
from chalicelib.settings import Settings

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
SET = {
    "PUBLIC_URL": "https://ponctuel.example/api",
    "LINK_SECRET": "the-link-secret-of-these-tests-0123456789",
}
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def token(settings: Settings, business: str = "B1", user: str = "U1") -> str:
    link = closer_link.link_for(settings, business, user, NOW)
    assert link is not None
    assert link.startswith("https://ponctuel.example/api/closer/1.")
    return link.rpartition("/")[2]


@given(ids, ids, st.integers(1, 30))
def test_a_link_is_read_as_it_was_made_whatever_the_ids_are(
    business: str, user: str, days: int
) -> None:
    settings = Settings.from_mapping(SET | {"CLOSER_LINK_DAYS": str(days)})
    link = closer_link.read(token(settings, business, user), settings)
    assert (link.business_id, link.user_id) == (business, user)
    assert (link.issued_at, link.ends_at) == (NOW, NOW + timedelta(days=days))


def test_whoever_has_the_link_reads_two_ids_and_two_instants_and_nothing_else() -> None:
    payload = token(Settings.from_mapping(SET)).split(".")[1]
    held = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert held == ["B1", "U1", 1773133200000, 1773738000000]


@given(st.integers(0, 500), st.characters(codec="ascii"))
def test_no_altered_link_is_read(at: int, other: str) -> None:
    settings = Settings.from_mapping(SET)
    made = token(settings)
    at %= len(made)
    altered = made[:at] + other + made[at + 1 :]
    if altered == made:
        assert closer_link.read(altered, settings).user_id == "U1"
        return
    with pytest.raises(BadRequest) as raised:
        closer_link.read(altered, settings)
    assert raised.value.code == closer_link.FORGED


@pytest.mark.parametrize("lacking", SET)
def test_without_its_settings_there_is_no_link_and_nobody_is_kept_from_being_told(
    lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_mapping({k: v for k, v in SET.items() if k != lacking})
    assert closer_link.link_for(settings, "B1", "U1", NOW) is None
    monkeypatch.setattr(settings_module, "_current", settings)
    assert closer_link.page_of("B1", "U1", NOW) is None


@pytest.mark.parametrize(
    "unusable", [{"LINK_SECRET": "short"}, {"PUBLIC_URL": "x"}, {"CLOSER_LINK_DAYS": "0"}]
)
def test_settings_that_cannot_be_used_make_no_link(
    unusable: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "_current", Settings.from_mapping(SET | unusable))
    assert closer_link.page_of("B1", "U1", NOW) is None


def test_ids_that_are_too_long_for_a_link_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "_current", Settings.from_mapping(SET))
    assert closer_link.page_of("B1", "U" * 600, NOW) is None
    assert closer_link.page_of("B1", "U1", NOW) is not None


def test_without_a_secret_no_link_is_read() -> None:
    with pytest.raises(NotConfigured):
        closer_link.read(token(Settings.from_mapping(SET)), Settings.from_mapping({}))
