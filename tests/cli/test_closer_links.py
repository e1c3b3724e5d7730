"""The link to a closer's page, from the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests import lead_rows
from tests.cli.command_line import CommandLine
from tests.harness import Deployment
from tests.routes.doors import opened

SECRET = "the-link-secret-of-these-tests-0123456789"
BASE = "https://ponctuel.example"


@pytest.fixture
def stage(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("PUBLIC_URL", BASE)
    monkeypatch.setenv("LINK_SECRET", SECRET)
    lead_rows.open_business(deployment)
    return deployment


def status(stage: Deployment, link: str) -> int:
    with opened(stage) as door:
        return door.outside("GET", link.removeprefix(BASE)).status


def test_a_link_is_printed_alone_on_its_line_and_opens_the_page(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    said = ponctuel("leads", "link", "U1")
    assert (said.code, said.err) == (0, "")
    (link,) = [line for line in said.out.splitlines() if line.startswith(BASE)]
    assert "Page de Sophie Laurent (U1, B1), jusqu'au 17/03/2026 10:00" in said.words
    assert status(stage, link) == 200
    by_address = ponctuel("leads", "link", "u1@B1.example", "--json").data
    assert by_address["user_id"] == "U1"
    assert by_address["ends_at"].startswith("2026-03-17T09:0")


def test_links_that_were_given_are_taken_back_and_the_next_one_is_good(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    link = ponctuel("leads", "link", "U1", "--json").data["link"]
    other = ponctuel("leads", "link", "U0", "--json").data["link"]
    said = ponctuel("leads", "revoke", "U1")
    assert (said.code, said.err) == (0, "")
    assert "n'ouvrent plus rien" in said.words
    assert (status(stage, link), status(stage, other)) == (404, 200)
    stage.database.advance(timedelta(seconds=1))
    assert ponctuel("leads", "revoke", "U1").code == 0
    stage.database.advance(timedelta(seconds=1))
    link = ponctuel("leads", "link", "U1", "--json").data["link"]
    assert status(stage, link) == 200


def test_whose_link_it_is_has_to_be_certain(stage: Deployment, ponctuel: CommandLine) -> None:
    lead_rows.open_business(stage, "B2")
    for action in ("link", "revoke"):
        said = ponctuel("leads", action, "U1")
        assert said.code == 1
        assert "U1 de B1, U1 de B2" in said.err
        assert ponctuel("leads", action, "U9").code == 1
        assert ponctuel("leads", action, "U1", "--business", "B3").code == 1
    assert ponctuel("leads", "link", "U1", "--business", "B2", "--json").data["business_id"] == "B2"


def test_somebody_who_left_gets_no_link(stage: Deployment, ponctuel: CommandLine) -> None:
    stage.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U1'")
    said = ponctuel("leads", "link", "U1")
    assert said.code == 1
    assert "n'est plus actif" in said.err
    assert ponctuel("leads", "revoke", "U1").code == 0


@pytest.mark.parametrize("setting", ["PUBLIC_URL", "LINK_SECRET"])
def test_without_its_settings_there_is_no_link_and_it_says_which(
    stage: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.delenv(setting)
    said = ponctuel("leads", "link", "U1")
    assert said.code == 1
    assert setting in said.err
