"""Amazon SNS over HTTPS: whether Amazon signed this message, and for one of our topics.

Anybody may own a topic and have Amazon sign its messages: the signature says who wrote it only
together with the topic. Rules of docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS
messages", read in 2026.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import SplitResult, parse_qs, urlsplit

from chalicelib.errors import BadRequest, NotConfigured, Unauthorized
from chalicelib.webhooks.payload import Malformed, json_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Type = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]

_HOST = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
# Other pages of that host answer with what the caller put into the address.
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem")
_LONGEST_URL = 2_000
_MOST_CERTIFICATES = 8
_ALWAYS_SIGNED = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
_CONFIRMATION_SIGNED = ("SubscribeURL", "Token")
_TYPES: dict[str, Type] = {
    "Notification": "Notification",
    "SubscriptionConfirmation": "SubscriptionConfirmation",
    "UnsubscribeConfirmation": "UnsubscribeConfirmation",
}


@dataclass(frozen=True)
class SnsMessage:
    """A message that Amazon signed for a topic of ours. `message` is the text that was published;
    `subscribe_url` is empty in a notification."""

    type: Type
    message_id: str
    topic_arn: str
    message: str
    subscribe_url: str = ""


class Certificates:
    """Amazon's signing keys by address, kept for the life of the object.

    `fetch(url)` gives the PEM file: over verified TLS, without following redirects, and within a
    time limit, all of which are its own to see to; what it raises comes out of `verify_sns`, so
    that the answer is a failure and SNS tries again.
    """

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._keys: dict[str, RSAPublicKey] = {}

    def key(self, url: str) -> RSAPublicKey:
        """The public key at `url`, which has to be checked already. Raises `Unauthorized`
        (`certificate`) when there is none."""
        if url not in self._keys:
            key = _public_key(self._fetch(url))
            while len(self._keys) >= _MOST_CERTIFICATES:
                del self._keys[next(iter(self._keys))]
            self._keys[url] = key
        return self._keys[url]


def verify_sns(body: bytes, *, topics: Collection[str], certificates: Certificates) -> SnsMessage:
    """The message, once Amazon's signature (version 1, SHA-1, or 2, SHA-256) is checked.

    `topics` are the ARNs that we subscribed to: without any, nothing is accepted. Raises
    `NotConfigured`, `BadRequest` (`unreadable`) or `Unauthorized` (`topic`, `certificate_url`,
    `certificate`, `signature`), and what `certificates` could not fetch.
    """
    if not any(topic.strip() for topic in topics):
        raise NotConfigured(
            "Aucun sujet SNS n'est configuré, donc aucun événement n'est accepté. "
            "Renseignez SES_TOPIC_ARNS."
        )
    fields = _fields(body)
    kind = _TYPES[fields["Type"]]
    if fields["TopicArn"] not in topics:
        _refuse("topic")
    url = fields["SigningCertURL"]
    parts = _amazon_address(url)
    if parts is None or parts.query or not _CERTIFICATE.fullmatch(parts.path):
        _refuse("certificate_url")
    _check(certificates.key(url), fields)
    return SnsMessage(
        type=kind,
        message_id=fields["MessageId"],
        topic_arn=fields["TopicArn"],
        message=fields["Message"],
        subscribe_url=fields.get("SubscribeURL", ""),
    )


def confirmation_url(message: SnsMessage) -> str:
    """The address to GET, once, to confirm the subscription that `message` (verified) asks for.
    An `UnsubscribeConfirmation` has one too, but following it would undo what somebody did on
    purpose. Raises `Unauthorized` (`subscribe_url`)."""
    parts = _amazon_address(message.subscribe_url)
    if message.type != "SubscriptionConfirmation" or parts is None or parts.path != "/":
        _refuse("subscribe_url")
    query = parse_qs(parts.query)
    if query.get("Action") != ["ConfirmSubscription"]:
        _refuse("subscribe_url")
    if query.get("TopicArn") != [message.topic_arn] or not query.get("Token"):
        _refuse("subscribe_url")
    return message.subscribe_url


def _fields(body: bytes) -> Mapping[str, str]:
    """The envelope's texts. Those that are signed, and those that the check needs, are there."""
    try:
        found = json_object(body)
    except Malformed:
        _unreadable()
    fields = {name: value for name, value in found.items() if isinstance(value, str)}
    needed = {*_ALWAYS_SIGNED, "SigningCertURL", "Signature", "SignatureVersion"}
    if fields.get("Type") not in _TYPES or not needed <= fields.keys():
        _unreadable()
    if fields["Type"] != "Notification" and not {*_CONFIRMATION_SIGNED} <= fields.keys():
        _unreadable()
    return fields


def _check(key: RSAPublicKey, fields: Mapping[str, str]) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    versions: dict[str, Any] = {
        "1": hashes.SHA1,  # Amazon's default still; only the hash of what its own key signs
        "2": hashes.SHA256,
    }
    algorithm = versions.get(fields["SignatureVersion"])
    if algorithm is None:
        _refuse("signature")
    try:
        signature = b64decode(fields["Signature"], validate=True)
        key.verify(signature, _signed(fields), PKCS1v15(), algorithm())
    except (ValueError, InvalidSignature):
        _refuse("signature")


def _signed(fields: Mapping[str, str]) -> bytes:
    """Names and values, each on its line, in the order of the alphabet; a subject if there is one,
    and in a confirmation its address and token."""
    extra = ("Subject",) if fields["Type"] == "Notification" else _CONFIRMATION_SIGNED
    names = sorted(name for name in (*_ALWAYS_SIGNED, *extra) if name in fields)
    lines = "".join(f"{name}\n{fields[name]}\n" for name in names)
    return lines.encode("utf-8", "surrogatepass")


def _amazon_address(url: str) -> SplitResult | None:
    """The parts of an https address of SNS itself; None for any other."""
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    # The whole authority is compared: no user, no port.
    usable = parts.scheme == "https" and _HOST.fullmatch(parts.netloc) and not parts.fragment
    return parts if usable else None


def _public_key(pem: bytes) -> RSAPublicKey:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, UnsupportedAlgorithm):
        _refuse("certificate")
    if not isinstance(key, RSAPublicKey):
        _refuse("certificate")
    return key


def _refuse(code: str) -> NoReturn:
    raise Unauthorized(
        "Notification d'Amazon SNS refusée : vérifiez que le sujet figure dans SES_TOPIC_ARNS.",
        code=code,
    )


def _unreadable() -> NoReturn:
    raise BadRequest(
        "Notification d'Amazon SNS illisible : l'abonnement doit être en HTTPS, sans remise brute "
        "(raw message delivery).",
        code="unreadable",
    )
