"""Only Amazon, for a topic of ours, may say that a mail bounced."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import BadRequest, NotConfigured, PonctuelError, ProviderError, Unauthorized
from chalicelib.webhooks.sns import Certificates, confirmation_url, verify_sns

TOPIC = "arn:aws:sns:eu-west-3:123456789012:ses-events"
CERTIFICATE_URL = "https://sns.eu-west-3.amazonaws.com/SimpleNotificationService-0a1b2c3d.pem"
SUBSCRIBE_URL = (
    "https://sns.eu-west-3.amazonaws.com/?Action=ConfirmSubscription"
    "&TopicArn=arn:aws:sns:eu-west-3:123456789012:ses-events&Token=2336412f37"
)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FORGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(begun).not_valid_after(begun + timedelta(days=365))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


PEM = certificate(KEY)
AMAZON = Certificates({CERTIFICATE_URL: PEM}.__getitem__)


def signed(key=KEY, version="2", **fields) -> dict[str, str]:
    """A message as Amazon signs it; a field that is None is left out."""
    envelope = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": '{"eventType":"Bounce"}',
        "Timestamp": "2026-11-21T08:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
    } | fields
    envelope = {name: value for name, value in envelope.items() if value is not None}
    names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    if envelope.get("Type") == "Notification":
        names += ["Subject"]
    else:
        names += ["SubscribeURL", "Token"]
    lines = "".join(f"{name}\n{envelope[name]}\n" for name in sorted(names) if name in envelope)
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key.sign(lines.encode(), padding.PKCS1v15(), algorithm)
    return envelope | {"Signature": b64encode(signature).decode()}


def confirmation(**fields) -> dict[str, str]:
    given = {"Type": "SubscriptionConfirmation", "SubscribeURL": SUBSCRIBE_URL, "Token": "2336412f"}
    return signed(**(given | fields))


def verify(envelope, *, topics=(TOPIC,), certificates=AMAZON):
    return verify_sns(json.dumps(envelope).encode(), topics=topics, certificates=certificates)


def refusal(envelope, **given) -> str:
    with pytest.raises((Unauthorized, BadRequest)) as caught:
        verify(envelope, **given)
    return caught.value.code


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification", ""])
def test_what_amazon_signed_for_our_topic_is_accepted(version, subject):
    message = verify(signed(version=version, Subject=subject))
    assert (message.type, message.topic_arn) == ("Notification", TOPIC)
    assert message.message == '{"eventType":"Bounce"}'


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_that_was_signed_comes_out_as_it_was(text, subject):
    assert verify(signed(Message=text, Subject=subject)).message == text


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "Type", "Subject"])
def test_no_signed_field_can_be_changed(name):
    envelope = signed(Subject="s", SubscribeURL=SUBSCRIBE_URL, Token="t")
    altered = "UnsubscribeConfirmation" if name == "Type" else envelope[name] + "x"
    assert refusal(envelope | {name: altered}) == "signature"


def test_the_token_and_the_address_of_a_confirmation_are_signed_too():
    for name in ("Token", "SubscribeURL"):
        assert refusal(confirmation() | {name: "https://elsewhere"}) == "signature"


def test_a_signature_for_somebody_elses_topic_is_refused():
    theirs = "arn:aws:sns:eu-west-3:999999999999:ses-events"
    assert refusal(signed(TopicArn=theirs)) == "topic"
    assert refusal(signed(TopicArn=TOPIC + "-copy")) == "topic"
    assert refusal(confirmation(TopicArn=theirs)) == "topic"


def test_without_a_topic_nothing_is_accepted():
    for topics in ((), ("",)):
        with pytest.raises(NotConfigured):
            verify(signed(), topics=topics)


def test_another_key_signature_or_version_is_refused():
    assert refusal(signed(key=FORGER)) == "signature"
    assert refusal(signed() | {"Signature": "not base64!"}) == "signature"
    assert refusal(signed() | {"SignatureVersion": "1"}) == "signature"
    assert refusal(signed() | {"SignatureVersion": "3"}) == "signature"


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace("https", "http"),
        "https://sns.eu-west-3.amazonaws.com.evil.example/SimpleNotificationService-0a.pem",
        "https://evil.example/SimpleNotificationService-0a1b.pem",
        "https://evil.example#sns.eu-west-3.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-3.amazonaws.com@evil.example/SimpleNotificationService-0a.pem",
        "https://user@sns.eu-west-3.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-3.amazonaws.com:8443/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-3.amazonaws.com\\@evil.example/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-3.amazonaws.com/?Action=ListTopics",
        "https://sns.eu-west-3.amazonaws.com/SimpleNotificationService-0a.pem?x=1",
        "https://sns.eu-west-3.amazonaws.com/../SimpleNotificationService-0a.pem",
        "https://snsXeu-west-3.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.evil.example.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://[sns.eu-west-3.amazonaws.com/SimpleNotificationService-0a.pem",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_certificate_is_fetched_from_amazon_only(url):
    fetched = []
    certificates = Certificates(lambda address: fetched.append(address) or certificate(FORGER))
    envelope = signed(key=FORGER, SigningCertURL=url)
    assert refusal(envelope, certificates=certificates) == "certificate_url"
    assert fetched == []


def test_a_certificate_in_china_is_amazons_too():
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0a1b.pem"
    assert verify(signed(SigningCertURL=url), certificates=Certificates(lambda _: PEM))


def test_a_certificate_is_fetched_once():
    fetched = []
    certificates = Certificates(lambda url: fetched.append(url) or PEM)
    for _ in range(3):
        verify(signed(), certificates=certificates)
    assert fetched == [CERTIFICATE_URL]


def test_a_certificate_that_cannot_be_had_is_asked_for_again():
    answers = [ProviderError("sns", "injoignable", permanent=False), PEM]

    def fetch(_: str) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    certificates = Certificates(fetch)
    with pytest.raises(ProviderError):
        verify(signed(), certificates=certificates)
    assert verify(signed(), certificates=certificates)


@pytest.mark.parametrize(
    "pem", [b"", b"<html>", certificate(ec.generate_private_key(ec.SECP256R1()))]
)
def test_what_is_no_rsa_certificate_is_refused(pem):
    assert refusal(signed(), certificates=Certificates(lambda _: pem)) == "certificate"


@pytest.mark.parametrize("name", ["Type", "TopicArn", "Message", "Signature", "SigningCertURL"])
def test_an_envelope_without_a_field_is_unreadable(name):
    envelope = signed()
    del envelope[name]
    assert refusal(envelope) == "unreadable"
    assert refusal(envelope | {name: ["several"]}) == "unreadable"


@given(st.binary(max_size=60) | st.text('{}[]",:1 ', max_size=20).map(str.encode))
def test_no_body_crashes_the_check(body):
    with pytest.raises(PonctuelError):
        verify_sns(body, topics=[TOPIC], certificates=AMAZON)


def test_a_confirmation_of_our_topic_says_where_to_confirm():
    assert confirmation_url(verify(confirmation())) == SUBSCRIBE_URL


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription",
        SUBSCRIBE_URL.replace("https://", "http://"),
        SUBSCRIBE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        SUBSCRIBE_URL.replace("ConfirmSubscription", "Unsubscribe"),
        SUBSCRIBE_URL.replace("ses-events", "other-topic"),
        SUBSCRIBE_URL + "&Action=DeleteTopic",
        SUBSCRIBE_URL.replace("/?", "/other?"),
    ],
)
def test_a_confirmation_leads_nowhere_else(url):
    message = verify(confirmation(SubscribeURL=url))
    with pytest.raises(Unauthorized) as caught:
        confirmation_url(message)
    assert caught.value.code == "subscribe_url"


def test_neither_a_notification_nor_an_unsubscription_is_followed():
    for message in (
        verify(signed(SubscribeURL=SUBSCRIBE_URL)),
        verify(confirmation(Type="UnsubscribeConfirmation")),
    ):
        with pytest.raises(Unauthorized):
            confirmation_url(message)
