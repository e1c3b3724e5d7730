"""What the operator is told when a run ends badly, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from email import message_from_bytes, policy
from typing import Any

import pytest

from chalicelib.domain.operations.kinds import RUN_ALERT
from chalicelib.jobs.followups import JOB
from tests.harness import OPERATOR, Deployment


def alerts(deployment: Deployment) -> list[Mapping[str, Any]]:
    return deployment.rows(
        "SELECT * FROM ponctuel.messages WHERE kind = :kind ORDER BY id", kind=RUN_ALERT
    )


def spoil(deployment: Deployment) -> None:
    """From now on each run of the relances has an item in error."""
    deployment.execute("UPDATE ponctuel.businesses SET zone = 'CET+1/Paris' WHERE id = 'B2'")


def mend(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.businesses SET zone = 'Europe/Paris' WHERE id = 'B2'")


def test_the_same_trouble_in_two_runs_is_told_once(deployment: Deployment) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2")
    spoil(deployment)
    for _ in range(2):
        deployment.tick()
        assert deployment.last_run()["status"] == "partial"
    (alert,) = alerts(deployment)
    assert (alert["business_id"], alert["recipient"]) == ("", OPERATOR)
    first = deployment.rows("SELECT id FROM ponctuel.runs WHERE job = 'followups' ORDER BY number")
    assert alert["cycle"] == str(first[0]["id"])


def test_the_operator_receives_the_alert_in_french_with_the_name_of_the_job(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example/api")
    deployment.open_business("B1")
    deployment.open_business("B2")
    spoil(deployment)
    deployment.tick()
    run = deployment.last_run()
    deployment.deliver()
    (entry,) = deployment.smtp.accepted()
    assert entry.recipients == (OPERATOR,)
    content = (deployment.smtp.folder / entry.file).read_bytes()
    mail = message_from_bytes(content, policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    # Split and joined, the no-break spaces of French typography are plain ones.
    words = " ".join(body.get_content().split())
    assert " ".join(mail["Subject"].split()) == f"[local] Erreurs : {JOB.title}"
    assert mail["From"] == "Ponctuel <relances@ponctuel.example>"
    assert JOB.title in words
    assert "une partie de ses éléments a échoué" in words
    assert "1 élément en erreur" in words
    assert f"https://ponctuel.example/api/runs/{run['id']}" in words
    assert [alert["state"] for alert in alerts(deployment)] == ["accepted"]


def test_an_alert_leaves_before_go_live_too(deployment: Deployment) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2")
    spoil(deployment)
    deployment.execute("DELETE FROM ponctuel.go_lives")
    deployment.tick()
    deployment.deliver()
    assert [entry.recipients for entry in deployment.smtp.accepted()] == [(OPERATOR,)]


def test_trouble_that_returns_after_a_good_run_is_told_again(deployment: Deployment) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2")
    for trouble, told in ((spoil, 1), (mend, 1), (spoil, 2), (spoil, 2)):
        trouble(deployment)
        deployment.tick()
        deployment.deliver()
        assert len(alerts(deployment)) == told
    assert len(deployment.smtp.accepted()) == 2


def test_without_an_operator_address_there_is_only_a_line_in_the_log(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPERATOR_EMAIL")
    deployment.open_business("B1")
    deployment.open_business("B2")
    spoil(deployment)
    deployment.tick()
    deployment.deliver()
    assert deployment.last_run()["status"] == "partial"
    assert alerts(deployment) == []
    assert deployment.smtp.received() == []
    logged = capfd.readouterr().err
    assert "run_alert" in logged
    assert "operator_email_not_set" in logged
