"""Amazon's notifications, with its certificate fetched over TLS from where Amazon has it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import ProviderError
from chalicelib.providers.sns import fetch
from chalicelib.routes import webhooks
from sandbox.http import Reply
from tests.certificates import server_context, sign
from tests.outbox.ledger import message, named, row, rows, suppressed
from tests.routes.doors import Door
from tests.webhooks import posts
from tests.webhooks.test_sns import PEM, SUBSCRIBE_URL, TOPIC, confirmation, signed

HOST = "sns.eu-west-3.amazonaws.com"


class Amazon:
    """SNS's own host, on the loopback: its certificate, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200


@pytest.fixture
def amazon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Amazon]:
    """Where the name leads, and whom TLS trusts, is what a test can change; nothing else is."""
    found = Amazon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            content = PEM if self.path.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    authority = sign("authority")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = server_context(tmp_path, sign(HOST, authority, host=HOST))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    trusted = tmp_path / "authority.pem"
    trusted.write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    look_up = socket.getaddrinfo

    def here(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host == HOST:
            return look_up("127.0.0.1", server.server_address[1], *args, **options)
        return look_up(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    webhooks._amazon_certificates.cache_clear()
    yield found
    webhooks._amazon_certificates.cache_clear()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def door(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setenv("SES_TOPIC_ARNS", TOPIC)
    return door


def post(door: Door, envelope: dict[str, str]) -> Reply:
    headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-topic-arn": TOPIC}
    return door.outside("POST", webhooks.SES, headers=headers, body=json.dumps(envelope))


def told(door: Door, number: int, kind: str, details: Any) -> dict[str, str]:
    tags = {"ponctuel-message": [named(door.deployment.database, number)]}
    return signed(Message=posts.ses(kind, details, tags=tags))


def test_a_bounce_fails_the_message_and_stops_the_address_for_everybody(
    door: Door, amazon: Amazon
) -> None:
    database = door.deployment.database
    number = message(database, channel="email", contact="client@example.fr", state="submitting")
    bounce = posts.bounce("client@example.fr")
    envelope = told(door, number, "Bounce", bounce)
    assert post(door, envelope).json() == {"success": True, "received": 2}
    assert post(door, envelope).status == 200
    assert row(database, number)["error_code"] == "bounce_permanent"
    assert suppressed(database) == [("*", "client@example.fr", "*", "hard_bounce")]
    assert amazon.asked == ["/SimpleNotificationService-0a1b2c3d.pem"]  # once per process


def test_a_complaint_and_a_delivery(door: Door, amazon: Amazon) -> None:
    database = door.deployment.database
    number = message(database, channel="email", contact="client@example.fr")
    complaint = {"complainedRecipients": [{"emailAddress": "Client@example.fr"}]}
    post(door, told(door, number, "Complaint", complaint))
    post(door, told(door, number, "Delivery", {"recipients": ["client@example.fr"]}))
    assert row(database, number)["state"] == "delivered"
    assert suppressed(database) == [("B1", "client@example.fr", "*", "complaint")]


def test_a_subscription_is_confirmed_where_amazon_says_and_only_there(
    door: Door, amazon: Amazon
) -> None:
    assert post(door, confirmation()).json() == {"success": True, "received": 0}
    assert amazon.asked[-1] == SUBSCRIBE_URL.removeprefix(f"https://{HOST}")
    asked = len(amazon.asked)
    elsewhere = confirmation(SubscribeURL="https://evil.example/?Action=ConfirmSubscription")
    assert post(door, elsewhere).status == 401
    assert post(door, confirmation(Type="UnsubscribeConfirmation")).status == 200
    assert len(amazon.asked) == asked


def test_what_cannot_be_fetched_now_is_asked_for_again(door: Door, amazon: Amazon) -> None:
    amazon.status = 503
    assert post(door, signed()).status == 500
    assert rows(door.deployment.database, "SELECT 1 FROM ponctuel.webhook_events") == []
    amazon.status = 200
    assert post(door, signed()).status == 200


def test_what_amazon_did_not_sign_for_us_is_refused(door: Door, amazon: Amazon) -> None:
    forged = signed() | {"Message": "{}"}
    other_topic = signed(TopicArn="arn:aws:sns:eu-west-3:999999999999:theirs")
    elsewhere = signed(SigningCertURL="https://sns.evil.example/SimpleNotificationService-1.pem")
    for envelope in (forged, other_topic, elsewhere):
        assert post(door, envelope).status == 401
    assert door.outside("POST", webhooks.SES, body="not JSON").status == 400
    assert door.outside("POST", webhooks.SES, body="x" * 1_000_001).status == 400
    assert rows(door.deployment.database, "SELECT 1 FROM ponctuel.webhook_events") == []


def test_a_host_that_is_not_amazons_is_not_called(amazon: Amazon) -> None:
    for url in ("https://127.0.0.1/x.pem", "https://sns.amazonaws.com.evil.example/x.pem"):
        with pytest.raises(ProviderError) as refused:
            fetch(url)
        assert refused.value.code == "host"


def test_a_stranger_under_amazons_name_is_not_believed(
    amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ProviderError) as refused:
        fetch(f"https://{HOST}/SimpleNotificationService-1.pem")
    assert refused.value.code == "connection"
    assert amazon.asked == []
