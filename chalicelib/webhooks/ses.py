"""Amazon SES events, as SNS brings them (docs.aws.amazon.com/ses, "Contents of event data that
Amazon SES publishes to Amazon SNS", read in 2026; event publishing and feedback notifications).

Check the envelope first, with `sns.verify_sns`; `read` takes its `message`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.message_reference import known
from chalicelib.webhooks.events import (
    BounceEvent,
    ComplaintEvent,
    Event,
    Notice,
    State,
    StatusEvent,
    Unreadable,
)
from chalicelib.webhooks.payload import (
    Malformed,
    canonical,
    code,
    digest,
    identifier,
    iso_instant,
    json_object,
    mapping,
    rows,
    text,
)

PROVIDER = "ses"
# The message tag that `providers.mail.ses` sends our id in; a test compares the two.
TAG = "ponctuel-message"
BOUNCED_FOR_GOOD = "bounce_permanent"
_BOUNCES = {"Permanent": BOUNCED_FOR_GOOD, "Transient": "bounce_transient"}
# SES takes 50 recipients per message.
_MOST_RECIPIENTS = 50
# What SES publishes, in plain text or JSON, when a topic is attached to it.
_GREETINGS = ("Successfully validated SNS topic", "You have successfully subscribed")


@dataclass(frozen=True)
class _Mail:
    provider_id: str
    reference: str | None
    addressees: frozenset[str]  # those of the To field: who the message is for
    received_at: datetime

    def status(self, state: State, why: str | None, details: Mapping[str, Any]) -> StatusEvent:
        return StatusEvent(
            provider=PROVIDER,
            provider_id=self.provider_id,
            reference=self.reference,
            state=state,
            code=why,
            at=iso_instant(details.get("timestamp"), self.received_at),
            event_key=f"ses:{self.provider_id}:{state}:{digest(canonical(details))}",
        )

    def concerned(self, recipients: Sequence[str]) -> bool:
        """Whether those recipients are all whom the message is for. A copy's are not counted."""
        return self.addressees <= {address.casefold() for address in recipients}


def read(message: str, *, received_at: datetime) -> list[Event]:
    """The events of one notification: a bounce or complaint says something about the message and
    something about its recipients. `received_at` is aware. Never raises."""
    try:
        return _read(message, received_at)
    except Malformed as error:
        sha256 = hashlib.sha256(message.encode("utf-8", "surrogatepass")).hexdigest()
        return [Unreadable(PROVIDER, sha256, error.reason)]


def _read(message: str, received_at: datetime) -> list[Event]:
    if message.startswith(_GREETINGS):
        return [Notice(PROVIDER, "topic_validated", f"ses:topic_validated:{digest(message)}")]
    event = json_object(message)
    kind = text(event.get("eventType") or event.get("notificationType"), 64)
    if not kind:
        raise Malformed("event_type")
    readers = {
        "Bounce": _bounce,
        "Complaint": _complaint,
        "Delivery": _delivery,
        "Send": _sent,
        "DeliveryDelay": _delayed,
        "Reject": _rejected,
        "Rendering Failure": _rejected,
    }
    reader = readers.get(kind)
    if reader is None:
        name = (code(kind) or "unknown").lower()
        return [Notice(PROVIDER, name, f"ses:{name}:{digest(canonical(event))}")]
    return reader(event, _mail(mapping(event.get("mail")), received_at))


def _mail(mail: Mapping[str, Any], received_at: datetime) -> _Mail:
    tags = rows(mapping(mail.get("tags")).get(TAG))
    headers = mapping(mail.get("commonHeaders"))
    return _Mail(
        provider_id=identifier(mail.get("messageId"), "message_id"),
        reference=known(tags[0]) if tags else None,
        addressees=frozenset(
            address.casefold()
            for address in _bare(rows(headers.get("to"))) or _bare(rows(mail.get("destination")))
        ),
        received_at=received_at,
    )


def _bounce(event: Mapping[str, Any], mail: _Mail) -> list[Event]:
    bounce = event.get("bounce")
    if not isinstance(bounce, dict):
        raise Malformed("bounce")
    why = _BOUNCES.get(text(bounce.get("bounceType")), "bounce_undetermined")
    recipients = _recipients(bounce.get("bouncedRecipients"))
    whole = not recipients or mail.concerned(recipients)
    state: State = "failed" if whole else "sent"
    fact = BounceEvent(
        provider=PROVIDER,
        provider_id=mail.provider_id,
        reference=mail.reference,
        permanent=why == BOUNCED_FOR_GOOD,
        reason=code(bounce.get("bounceSubType")) or "Undetermined",
        recipients=recipients,
        feedback_id=text(bounce.get("feedbackId"), 256),
        at=iso_instant(bounce.get("timestamp"), mail.received_at),
        event_key=f"ses:{mail.provider_id}:bounce:{digest(canonical(bounce))}",
    )
    return [mail.status(state, why, bounce), fact]


def _complaint(event: Mapping[str, Any], mail: _Mail) -> list[Event]:
    complaint = event.get("complaint")
    if not isinstance(complaint, dict):
        raise Malformed("complaint")
    reason = code(complaint.get("complaintFeedbackType")) or "unknown"
    key = f"ses:{mail.provider_id}:complaint:{digest(canonical(complaint))}"
    if reason == "not-spam":  # somebody took it out of the spam folder
        return [mail.status("delivered", None, complaint), Notice(PROVIDER, "not_spam", key)]
    suppressed = complaint.get("complaintSubType") == "OnAccountSuppressionList"
    fact = ComplaintEvent(
        provider=PROVIDER,
        provider_id=mail.provider_id,
        reference=mail.reference,
        reason=reason,
        recipients=_recipients(complaint.get("complainedRecipients")),
        feedback_id=text(complaint.get("feedbackId"), 256),
        at=iso_instant(complaint.get("timestamp"), mail.received_at),
        event_key=key,
    )
    if suppressed:  # SES took the message and did not try to deliver it
        return [mail.status("failed", "suppressed", complaint), fact]
    return [mail.status("delivered", None, complaint), fact]


def _delivery(event: Mapping[str, Any], mail: _Mail) -> list[Event]:
    delivery = mapping(event.get("delivery"))
    arrived = mail.concerned(_bare(rows(delivery.get("recipients"))))
    return [mail.status("delivered" if arrived else "sent", None, delivery)]


def _sent(event: Mapping[str, Any], mail: _Mail) -> list[Event]:
    return [mail.status("sent", None, mapping(event.get("send")))]


def _delayed(event: Mapping[str, Any], mail: _Mail) -> list[Event]:
    delay = mapping(event.get("deliveryDelay"))
    return [mail.status("sent", code(delay.get("delayType")), delay)]


def _rejected(event: Mapping[str, Any], mail: _Mail) -> list[Event]:
    rejected = "reject" in event
    details = mapping(event.get("reject" if rejected else "failure"))
    return [mail.status("failed", "rejected" if rejected else "rendering", details)]


def _recipients(value: object) -> tuple[str, ...]:
    return _bare([mapping(row).get("emailAddress") for row in rows(value)])


def _bare(values: Sequence[object]) -> tuple[str, ...]:
    """The addresses of `Name <address>` or bare forms; what is none is left out."""
    found = []
    for value in values[:_MOST_RECIPIENTS]:
        address = text(value, 1_000)
        if "<" in address:
            address = address.rpartition("<")[2].partition(">")[0]
        if "@" in address and len(address) <= 320:
            found.append(address.strip())
    return tuple(found)
