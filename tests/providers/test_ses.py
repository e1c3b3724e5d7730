from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.parser import BytesParser

import pytest

from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.providers.mail.port import SENDER_WIDE_CODES, Address
from chalicelib.providers.mail.ses import SesProvider
from tests.providers.conftest import Key
from tests.providers.mails import mail
from tests.providers.wire import Conversation, http_request, serving, until_closed

pytestmark = pytest.mark.usefixtures("aws_credentials")

ACCEPTED = b'{"MessageId":"0102018c"}'


def provider(endpoint_url: str, configuration_set: str | None = None) -> SesProvider:
    return SesProvider(
        "eu-west-3", configuration_set, endpoint_url, connect_timeout=1, read_timeout=1
    )


class Stage:
    """A server whose conversation each test sets, and one client of it: making a client is slow."""

    def __init__(self) -> None:
        self.conversation: Conversation = until_closed
        self.calls: list[dict[str, object]] = []

    def play(self, client: socket.socket) -> None:
        _, body = request(client)
        self.calls.append(body)
        self.conversation(client)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Stage, SesProvider]]:
    stage = Stage()
    with pytest.MonkeyPatch.context() as environment, serving(stage.play) as port:
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        sender = provider(f"http://127.0.0.1:{port}", "relances")
        with contextlib.closing(sender):
            yield stage, sender


@pytest.fixture
def stage(shared: tuple[Stage, SesProvider]) -> Stage:
    shared[0].calls.clear()
    return shared[0]


@pytest.fixture
def sender(shared: tuple[Stage, SesProvider]) -> SesProvider:
    return shared[1]


def request(client: socket.socket) -> tuple[bytes, dict[str, object]]:
    """One whole HTTP request: its head and its JSON."""
    head, body = http_request(client)
    return head, json.loads(body)


def http(status: str, body: bytes, error_type: str = "") -> Conversation:
    kind = f"x-amzn-ErrorType: {error_type}\r\n" if error_type else ""
    head = f"HTTP/1.1 {status}\r\n{kind}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return saying(head.encode() + body)


def saying(answer: bytes) -> Conversation:
    """Says just this, then the connection is cut."""

    def conversation(client: socket.socket) -> None:
        client.sendall(answer)

    return conversation


def test_a_message_from_a_verified_identity_is_accepted(aws: str) -> None:
    import boto3

    with contextlib.closing(
        boto3.client("sesv2", region_name="eu-west-3", endpoint_url=aws)
    ) as console:
        console.create_email_identity(EmailIdentity="atelier.example")
        with contextlib.closing(provider(aws)) as sender:
            assert sender.send(mail(cc=("comptable@cabinet.example",))).provider_id
            with pytest.raises(ProviderError) as refused:
                sender.send(mail(sender=Address("lea@ailleurs.example")))
    assert (refused.value.code, refused.value.permanent) == ("sender", False)


def test_the_envelope_our_reference_and_the_configuration_set_travel_with_the_message(
    stage: Stage, sender: SesProvider
) -> None:
    stage.conversation = http("200 OK", ACCEPTED)
    accepted = sender.send(mail(cc=("comptable@café.example",)))
    assert accepted.provider_id == "0102018c"
    (call,) = stage.calls
    assert call["Destination"] == {
        "ToAddresses": ["client@client.example"],
        "CcAddresses": ["comptable@xn--caf-dma.example"],
    }
    assert call["EmailTags"] == [{"Name": "ponctuel-message", "Value": "3f2a91bc-42"}]
    assert call["ConfigurationSetName"] == "relances"


def test_the_headers_of_one_click_unsubscription_reach_amazon_whole(
    stage: Stage, sender: SesProvider
) -> None:
    stage.conversation = http("200 OK", ACCEPTED)
    link = f"<https://ponctuel.example.fr/api/unsubscribe/1.{'x' * 500}>"
    one_click = {
        "List-Unsubscribe": link,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    sender.send(mail(headers=one_click))
    (call,) = stage.calls
    raw = base64.b64decode(call["Content"]["Raw"]["Data"])  # type: ignore[index]  # it is JSON
    sent = BytesParser().parsebytes(raw)
    assert {name: sent[name].strip() for name in one_click} == one_click


@pytest.mark.parametrize(
    ("status", "error_type", "words", "code", "permanent"),
    [
        ("429 Slow", "TooManyRequestsException", "Maximum sending rate", "throttled", False),
        ("400 Bad", "ThrottlingException", "Daily message quota exceeded", "quota", False),
        ("400 Bad", "LimitExceededException", "", "throttled", False),
        ("400 Bad", "MessageRejected", "Transaction failed", "MessageRejected", True),
        ("400 Bad", "MessageRejected", "Email address is not verified: a@x.fr", "sender", 0),
        ("400 Bad", "MessageRejected", "Sending paused for this account", "paused", False),
        ("400 Bad", "AccountSuspendedException", "", "paused", False),
        ("400 Bad", "SendingPausedException", "", "paused", False),
        ("400 Bad", "MailFromDomainNotVerifiedException", "", "sender", False),
        ("404 No", "NotFoundException", "Configuration set <x>", "configuration", False),
        ("400 Bad", "BadRequestException", "Illegal address", "BadRequestException", True),
        ("400 Bad", "BadRequestException", "Message length is more than 4", "too_large", True),
        ("413 Large", "", "", "too_large", True),
        ("403 No", "AccessDeniedException", "User arn:… is not authorized", "credentials", False),
        ("403 No", "ExpiredTokenException", "", "credentials", False),
        ("403 No", "InvalidSignatureException", "", "credentials", False),
        ("400 Bad", "UnrecognizedClientException", "", "credentials", False),
        ("418 Teapot", "", "", "http_418", False),
        ("302 Elsewhere", "", "", "http_302", False),
    ],
)
def test_what_ses_says_is_put_down_to_whom_it_concerns(
    stage: Stage,
    sender: SesProvider,
    status: str,
    error_type: str,
    words: str,
    code: str,
    permanent: bool,
) -> None:
    stage.conversation = http(status, json.dumps({"message": words}).encode(), error_type)
    with pytest.raises(ProviderError) as said:
        sender.send(mail())
    assert (said.value.code, said.value.permanent) == (code, bool(permanent))
    assert "@" not in str(said.value)
    assert said.value.__suppress_context__
    assert not (said.value.permanent and said.value.code in SENDER_WIDE_CODES)


def test_a_role_without_the_right_and_an_unknown_key_are_nobodys_message_s_fault(
    aws: str, powerless: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    for change in ({}, {"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}):
        for name, value in change.items():
            monkeypatch.setenv(name, value)
        with contextlib.closing(provider(aws)) as sender, pytest.raises(ProviderError) as refused:
            sender.send(mail())
        assert (refused.value.code, refused.value.permanent) == ("credentials", False)
        assert "ses:SendEmail" in str(refused.value)


def test_an_identity_of_another_region_is_unknown_in_this_one(aws: str) -> None:
    import boto3

    with contextlib.closing(
        boto3.session.Session().client("sesv2", "eu-central-1", endpoint_url=aws)
    ) as console:
        console.create_email_identity(EmailIdentity="atelier-ailleurs.example")
    sender = provider(aws)
    with contextlib.closing(sender), pytest.raises(ProviderError) as refused:
        sender.send(mail(sender=Address("lea@atelier-ailleurs.example")))
    assert (refused.value.code, refused.value.permanent) == ("sender", False)
    assert "la région de MAIL_URL" in str(refused.value)


@pytest.mark.parametrize(
    "conversation",
    [
        http("500 Oops", b'{"message":"Internal failure"}', "InternalServiceErrorException"),
        http("503 Busy", b"<html>down</html>"),
        http("502 Bad Gateway", b""),
        http("504 Gateway Timeout", b""),
        http("200 OK", b"<html>captive portal</html>"),
        http("200 OK", b""),
        http("200 OK", b"{}"),
        http("200 OK", b'{"MessageId":""}'),
        http("200 OK", b'{"MessageId":null}'),
        http("200 OK", b"null"),
        http("200 OK", b"[]"),
        http("200 OK", b'"ok"'),
        http("200 OK", b"\xff\xfe"),
        saying(b""),
        saying(b"HTTP/1.1 200 OK\r\nContent-Le"),
        saying(b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"Mess'),
        saying(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n{"Mess'),
        saying(b"banana\r\n\r\n"),
        until_closed,
    ],
)
def test_an_answer_that_is_lost_or_unreadable_is_unknown(
    stage: Stage, sender: SesProvider, conversation: Conversation
) -> None:
    stage.conversation = conversation
    with pytest.raises(OutcomeUnknown):
        sender.send(mail())
    assert len(stage.calls) == 1  # botocore would otherwise send it again by itself


def test_a_region_that_cannot_be_reached_is_no_fault_of_the_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://nowhere.invalid"):
        with contextlib.closing(provider(url)) as sender, pytest.raises(ProviderError) as refused:
            sender.send(mail())
        assert (refused.value.code, refused.value.permanent) == ("connection", False)


def test_missing_credentials_and_unusable_settings_leave_the_message_in_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ProviderError) as unusable:
        SesProvider("not a region", endpoint_url="no url").send(mail())
    assert (unusable.value.code, unusable.value.permanent) == ("configuration", False)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    sender = provider("http://127.0.0.1:9")
    with contextlib.closing(sender), pytest.raises(ProviderError) as refused:
        sender.send(mail())
    assert (refused.value.code, refused.value.permanent) == ("credentials", False)


def test_a_wrong_address_never_reaches_ses() -> None:
    with pytest.raises(ProviderError) as refused:
        provider("http://127.0.0.1:9").send(mail(to=("pas une adresse",)))
    assert refused.value.code == "invalid_address"


def test_the_adapter_loads_boto3_on_first_use_only() -> None:
    script = (
        "import sys; import chalicelib.providers.mail.ses, chalicelib.providers.storage.s3;"
        "sys.exit(bool({'boto3', 'botocore', 'email'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
