"""Relances through Amazon SES: what the ledger keeps of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from urllib.parse import quote

import pytest

from tests.harness import Deployment

VERIFIED = "menuiserie-perrin.example"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a simulated AWS of this module's own."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def through_ses(deployment: Deployment, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The deployment sends through SES; returns its endpoint."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "NO_PROXY": "127.0.0.1",
        "MAIL_URL": f"ses://eu-west-3?endpoint_url={quote(endpoint, safe='')}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    return endpoint


def verify(endpoint: str, identity: str) -> None:
    """What the operator does in the console of SES."""
    import boto3

    with closing(boto3.client("sesv2", region_name="eu-west-3", endpoint_url=endpoint)) as console:
        console.create_email_identity(EmailIdentity=identity)


def test_the_ledger_keeps_the_id_that_ses_gave_the_message(
    deployment: Deployment, through_ses: str
) -> None:
    verify(through_ses, VERIFIED)
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    (message,) = deployment.messages()
    assert (message["state"], message["provider"], message["attempts"]) == ("accepted", "ses", 1)
    assert message["provider_id"]
    assert message["provider_id"] != message["message_id"]
    assert message["error_code"] is None
    assert deployment.last_run()["counts"] == {"planned": 1, "sent": 1}
    deployment.tick()
    assert len(deployment.messages()) == 1


def test_a_sender_that_ses_has_not_verified_is_no_fault_of_the_message_which_leaves_later(
    deployment: Deployment, through_ses: str
) -> None:
    deployment.open_business(sender_email="factures@pas-encore.example")
    deployment.invoice()
    deployment.tick()
    (message,) = deployment.messages()
    assert (message["state"], message["attempts"]) == ("planned", 0)
    assert (message["provider"], message["error_code"]) == ("ses", "sender")
    assert message["provider_id"] is None
    assert message["not_before"] - message["submitting_at"] >= timedelta(minutes=1)
    deployment.tick("deliver_messages")
    assert deployment.messages()[0]["attempts"] == 0, "nor when it is tried again"
    verify(through_ses, "pas-encore.example")
    deployment.tick("deliver_messages")
    (message,) = deployment.messages()
    assert (message["state"], message["attempts"]) == ("accepted", 1)
    assert message["provider_id"]


def test_one_business_without_a_verified_sender_does_not_stop_the_others(
    deployment: Deployment, through_ses: str
) -> None:
    verify(through_ses, "b2.example")
    deployment.open_business("B1", sender_email="factures@jamais.example")
    deployment.open_business("B2", sender_email="factures@b2.example")
    for number in range(3):
        for business in ("B1", "B2"):
            deployment.customer(f"K{number}", business_id=business)
            deployment.invoice(f"F{number}", business_id=business, customer_id=f"K{number}")
    deployment.tick()
    states = {(m["business_id"], m["state"]) for m in deployment.messages()}
    assert states == {("B1", "planned"), ("B2", "accepted")}
