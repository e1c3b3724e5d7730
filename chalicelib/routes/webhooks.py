"""What providers post to us. The signature over the exact bytes is the secret: nothing of a call is
looked at before it is checked, and nothing of it is trusted after.

The answer is quick and says little: 200 when the event is in the ledger, 500 when it cannot be, so
that the provider posts it again; 4xx for what will not be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import NotConfigured, Unauthorized
from chalicelib.routes.answers import Answer
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.webhooks import meta, ses, twilio
from chalicelib.webhooks.events import Event
from chalicelib.webhooks.payload import LONGEST_FORM, LONGEST_JSON
from chalicelib.webhooks.signatures import meta_challenge, verify_meta, verify_twilio

if TYPE_CHECKING:
    from chalicelib.webhooks.sns import Certificates

STATUS, INBOUND = "/webhooks/twilio/status", "/webhooks/twilio/inbound"
META, SES = "/webhooks/meta", "/webhooks/ses"
# A notification of 256 kB is a text inside the JSON of its envelope.
LONGEST_SNS = 1_000_000
# The parameter that carries our reference; a test compares it with the provider's.
REFERENCE = "message"
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
XML = "text/xml; charset=utf-8"

Read = Callable[[datetime], Sequence[Event]]


def twilio_status(call: Call) -> Answer:
    body = _signed_by_twilio(call, STATUS)
    reference = call.query(REFERENCE) or None

    def read(received_at: datetime) -> Sequence[Event]:
        return twilio.read_status(body, reference=reference, received_at=received_at)

    return _taken(call, read, body)


def twilio_inbound(call: Call) -> Answer:
    """An empty TwiML document: nothing is answered to the person."""
    body = _signed_by_twilio(call, INBOUND)
    _taken(call, lambda received_at: twilio.read_inbound(body, received_at=received_at), body)
    return Answer(TWIML, headers={"Content-Type": XML})


def meta_events(call: Call) -> Answer:
    body = call.body(LONGEST_JSON)
    verify_meta(
        body=body,
        signature=call.header("x-hub-signature-256"),
        app_secrets=(call.settings.meta_app_secret, call.settings.meta_app_secret_previous),
    )
    return _taken(call, lambda received_at: meta.read(body, received_at=received_at), body)


def meta_verification(call: Call) -> Answer:
    names = ("hub.mode", "hub.verify_token", "hub.challenge")
    query = {name: call.query(name) for name in names}
    return Answer(meta_challenge(query, (call.settings.meta_verify_token,)))


def ses_events(call: Call) -> Answer:
    from chalicelib.webhooks.sns import verify_sns

    body = call.body(LONGEST_SNS)
    message = verify_sns(
        body, topics=call.settings.ses_topic_arns, certificates=_amazon_certificates()
    )
    if message.type == "Notification":
        told = message.message
        return _taken(call, lambda received_at: ses.read(told, received_at=received_at), body)
    if message.type == "SubscriptionConfirmation":
        from chalicelib.providers.sns import fetch
        from chalicelib.webhooks.sns import confirmation_url

        fetch(confirmation_url(message))
        logs.info("sns_subscription_confirmed", topic=message.topic_arn)
    else:
        # Its address would subscribe again: somebody ended the subscription on purpose.
        logs.warning("sns_subscription_ended", topic=message.topic_arn)
    return _received(0)


@cache
def _amazon_certificates() -> Certificates:
    """Kept for the life of the process."""
    from chalicelib.providers.sns import fetch
    from chalicelib.webhooks.sns import Certificates

    return Certificates(fetch)


def _signed_by_twilio(call: Call, path: str) -> bytes:
    """The body, once its signature is checked. Twilio signs the address that it was given: that of
    PUBLIC_URL, or the one on the same host that was called."""
    body = call.body(LONGEST_FORM)
    addresses = _addresses(call, path)
    for number, url in enumerate(addresses, start=1):
        try:
            verify_twilio(
                url=url,
                body=body,
                content_type=call.header("content-type"),
                signature=call.header("x-twilio-signature"),
                tokens=(
                    call.settings.twilio_auth_token,
                    call.settings.twilio_auth_token_previous,
                ),
                signature_settings=call.header("x-twilio-webhooks-signature-settings"),
            )
        except Unauthorized:
            if number == len(addresses):
                raise
        else:
            break
    return body


def _addresses(call: Call, path: str) -> list[str]:
    base = call.settings.public_url
    if base is None:
        raise NotConfigured(
            "L'adresse publique n'est pas configurée, donc aucune signature de Twilio ne peut être "
            "vérifiée. Renseignez PUBLIC_URL."
        )
    # API Gateway gives the query decoded, and no other form of it.
    pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in call.pairs()]
    query = "?" + "&".join(pairs) if pairs else ""
    parts = urlsplit(base)
    called = f"{parts.scheme}://{parts.netloc}{call.called_path}"
    return list(dict.fromkeys([f"{base}{path}{query}", f"{called}{query}"]))


def _taken(call: Call, read: Read, body: bytes) -> Answer:
    """The events are in the ledger when this answers. Raises `DatabaseUnavailable`."""
    from sqlalchemy.exc import DBAPIError

    from chalicelib.db.sqlstate import CONFLICTS, sqlstate

    try:
        return _applied(call, read, body)
    except DBAPIError as error:
        if sqlstate(error) not in CONFLICTS:
            raise
        # Delivery, or another webhook, had locked the same messages in another order.
        return _applied(call, read, body)


def _applied(call: Call, read: Read, body: bytes) -> Answer:
    from chalicelib.outbox import events

    with transaction(call.engine) as connection:
        received_at = events.clock(connection)
        found = read(received_at)
        applied = events.apply(connection, found, received_at=received_at, body=body)
    if applied.outcomes.get("unreadable"):
        logs.error("webhook_unreadable", path=call.path, events=applied.outcomes["unreadable"])
    logs.info(
        "webhook_applied",
        path=call.path,
        events=dict(applied.outcomes),
        replayed=applied.replayed,
        messages=list(applied.moved),
    )
    return _received(len(found))


def _received(events: int) -> Answer:
    return Answer({"success": True, "received": events})


_REFUSED = {
    400: "Too long, or not what the provider posts.",
    401: "The signature is missing or wrong.",
    500: "The database cannot be used: the provider has to post again.",
    503: "The provider's secret is not configured.",
}


_TAKEN = {200: "In the ledger, now or already.", **_REFUSED}


ROUTES = (
    Route(
        STATUS,
        ("POST",),
        twilio_status,
        summary="Twilio: what became of a message. Signed by Twilio.",
        access="open",
        query={REFERENCE: "Our own reference of the message."},
        responses=_TAKEN,
    ),
    Route(
        INBOUND,
        ("POST",),
        twilio_inbound,
        summary="Twilio: somebody wrote. Signed by Twilio.",
        access="open",
        media="text/xml",
        responses=_TAKEN,
    ),
    Route(
        META,
        ("POST",),
        meta_events,
        summary="Meta: what became of messages, and who wrote. Signed by Meta.",
        access="open",
        responses=_TAKEN,
    ),
    Route(
        META,
        ("GET",),
        meta_verification,
        summary="Meta asks once whether the address is ours.",
        access="open",
        media="text/plain",
        query={
            "hub.mode": "`subscribe`.",
            "hub.verify_token": "META_VERIFY_TOKEN.",
            "hub.challenge": "What is answered.",
        },
        responses={
            200: "The challenge.",
            400: "There is no challenge.",
            401: "The token is missing or wrong.",
            503: "META_VERIFY_TOKEN is not configured.",
        },
    ),
    Route(
        SES,
        ("POST",),
        ses_events,
        summary="Amazon SES, through SNS: deliveries, bounces, complaints. Signed by Amazon.",
        access="open",
        responses=_TAKEN,
    ),
)
