"""A setting that is missing or wrong: said, worked around where that is safe, and healed later."""

from __future__ import annotations

import pytest

from tests.harness import Deployment
from tests.reliability.scenarios import SCENARIOS, verdict

EXPECTED = SCENARIOS["followups"].expected


@pytest.fixture
def relances(deployment: Deployment) -> Deployment:
    SCENARIOS["followups"].load(deployment)
    return deployment


@pytest.mark.parametrize("name", ["OPERATOR_EMAIL", "PUBLIC_URL"])
def test_an_alert_that_cannot_be_written_does_not_keep_the_run_from_ending(
    relances: Deployment, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "ni une adresse, ni un lien")
    relances.smtp.fail("refuse_permanent", recipient="k1@")
    assert relances.tick()["status"] == ["partial"]
    assert relances.last_run()["status"] == "partial"
    assert relances.tick()["status"] == ["succeeded"], "the next slot runs"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_URL", ""),
        ("MAIL_URL", "smtp:/relances"),
        ("STORAGE_URL", "ftp://documents"),
        ("SENDING_CONCURRENCY", "beaucoup"),
    ],
)
def test_messages_wait_for_the_setting_that_keeps_them_from_leaving(
    relances: Deployment, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setenv(name, value)
        for _ in range(4):
            relances.tick(hours=0.5)
        by_mail = relances.messages(channel="email")
        states = {(message["state"], message["attempts"]) for message in by_mail}
        assert states == {("planned", 0)}
    relances.tick()
    relances.deliver()
    assert not verdict(relances, EXPECTED)
