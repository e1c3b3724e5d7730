"""The link of a letter that keeps an account: what it does, and what it never does."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from chalicelib import signed_links
from chalicelib.settings import settings
from sandbox.http import Reply
from tests.domain.accounts.people import (
    add_user,
    deletion,
    deletions,
    letters,
    nights,
    open_accounts,
    texts,
)
from tests.harness import Deployment
from tests.routes.doors import Door

LINK = re.compile(r"https://ponctuel\.example(/deletion/\S+)")


@pytest.fixture
def link(door: Door) -> str:
    """The path of the link that a user has just got."""
    open_accounts(door.deployment, "B1", name="Menuiserie <Perrin> & fils")
    add_user(door.deployment)
    assert door.post("/users/U1/deletion", {}).status == 200
    door.deployment.deliver()
    ((_, text),) = texts(door.deployment)
    found = LINK.search(text)
    assert found is not None
    return found[1]


def words(reply: Reply) -> str:
    """What a reader sees, with plain spaces."""
    page = re.sub(r"(?s)<head>.*?</head>|<[^>]+>", " ", reply.body.decode())
    return " ".join(unescape(page).split())


def test_the_page_says_how_many_days_remain_and_changes_nothing(door: Door, link: str) -> None:
    for _ in range(2):
        reply = door.outside("GET", link)
        assert reply.status == 200
        assert "chez Menuiserie <Perrin> & fils est prévue dans 30 jours" in words(reply)
        assert "Garder mon compte" in words(reply)
    assert deletions(door.deployment) == [("B1", "U1", "scheduled")]


def test_a_page_is_nobodys_to_keep(door: Door, link: str) -> None:
    reply = door.outside("GET", link)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-robots-tag"] == "noindex, nofollow"
    assert "form-action 'self'" in reply.headers["content-security-policy"]
    for personal in ("Camille", "u1@b1.example", "U1"):
        assert personal not in words(reply)


def test_the_button_keeps_the_account_once_and_says_so_each_time(door: Door, link: str) -> None:
    first = door.outside("POST", link)
    assert "C’est noté : la suppression est annulée" in words(first)
    door.deployment.database.advance(timedelta(days=2))
    again = door.outside("POST", link)
    assert "La suppression a été annulée" in words(again)
    assert "La suppression a été annulée" in words(door.outside("GET", link))
    assert deletion(door.deployment)["cancelled_by"] == "link"
    door.deployment.deliver()
    assert letters(door.deployment) == [
        ("requested", "u1@b1.example", "accepted"),
        ("cancelled", "u1@b1.example", "accepted"),
    ]


def test_the_link_of_an_earlier_request_does_not_cancel_a_later_one(door: Door, link: str) -> None:
    door.outside("POST", link)
    door.post("/users/U1/deletion", {})
    assert "La suppression a été annulée" in words(door.outside("POST", link))
    assert [state for _, _, state in deletions(door.deployment)] == ["cancelled", "scheduled"]


def test_a_locked_account_cannot_be_kept(door: Door, link: str) -> None:
    nights(door.deployment, 31)
    for method in ("GET", "POST"):
        reply = door.outside(method, link)
        assert reply.status == 200
        assert "Il est trop tard pour annuler" in words(reply)
        assert "Garder mon compte" not in words(reply)
    assert deletion(door.deployment)["state"] == "locked"


def test_a_link_ends_sixty_days_after_its_date(door: Door, link: str) -> None:
    door.deployment.database.advance(timedelta(days=91))
    for method in ("GET", "POST"):
        reply = door.outside(method, link)
        assert reply.status == 404
        assert "Ce lien a expiré" in words(reply)
    assert deletions(door.deployment) == [("B1", "U1", "scheduled")]


@pytest.mark.parametrize(
    "change",
    [
        lambda link: link[:-1],
        lambda link: link[:-5] + "AAAAA",
        lambda link: link.replace("/1.", "/2."),
        lambda _: "/deletion/1.e30.AAAA",
        lambda _: "/deletion/%00%0A",
        lambda _: "/deletion/" + "A" * 4000,
    ],
)
def test_a_forged_link_is_refused_on_a_page(door: Door, link: str, change: object) -> None:
    for method in ("GET", "POST"):
        reply = door.outside(method, change(link))  # type: ignore[operator]  # one of the above
        assert reply.status == 400
        assert "Ce lien ne fonctionne pas" in words(reply)
    assert deletions(door.deployment) == [("B1", "U1", "scheduled")]


def test_another_purposes_token_is_no_link_of_this_one(door: Door, link: str) -> None:
    secrets = (settings().link_secret, None)
    content = [deletion(door.deployment)["id"], 4_000_000_000]
    token = signed_links.sign("closer", content, stage="local", secrets=secrets)
    assert door.outside("POST", f"/deletion/{token}").status == 400


def test_without_a_secret_the_page_says_what_to_do_instead(
    door: Door, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LINK_SECRET")
    reply = door.outside("POST", link)
    assert reply.status == 503
    assert "annulez sa suppression dans votre logiciel" in words(reply)


def test_without_a_secret_letters_name_the_application(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    deployment.patch.delenv("LINK_SECRET")
    add_user(deployment, date=deployment.clock() + timedelta(days=9))
    nights(deployment, 5)
    ((_, text),) = texts(deployment)
    assert "Annulez la suppression dans votre logiciel" in text
    assert "/deletion/" not in text


def test_the_link_is_in_no_log(door: Door, link: str, capfd: pytest.CaptureFixture[str]) -> None:
    token = link.rpartition("/")[2]
    door.outside("GET", link)
    door.outside("POST", link)
    captured = capfd.readouterr()
    assert token not in captured.out + captured.err
    assert "http_answered" in captured.err
