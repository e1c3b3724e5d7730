"""What a provider's answer means for the ledger."""

from __future__ import annotations

import random
from typing import Any

from chalicelib import logs
from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.outbox import rates
from chalicelib.outbox.channels import Provider
from chalicelib.outbox.settle import News
from chalicelib.outbox.submission import Submission
from chalicelib.outbox.suppressions import (
    EVERYBODY,
    EVERYTHING,
    Reason,
    Suppression,
    opted_out,
)
from chalicelib.providers.mail.port import SENDER_WIDE_CODES, Mail
from chalicelib.providers.whatsapp.port import TEMPLATE_WIDE_CODES

FIRST_RETRY_S = 60.0
LAST_RETRY_S = 6 * 3600.0
# A template is repaired by a person, or by Meta in some hours.
TEMPLATE_RETRY_S = 3600.0

# What a refusal says of the person, for the messages to come. SMTP's are those of RFC 3463 and
# RFC 7505: no such mailbox, moved, a domain that takes no mail.
_PERSON: dict[str, tuple[Reason | None, bool]] = {  # code → reason, for every business
    "invalid_recipient": ("unreachable", False),
    "550 5.1.1": ("hard_bounce", True),
    "550 5.1.6": ("hard_bounce", True),
    "556 5.1.10": ("hard_bounce", True),
}

# Codes of refusals that say nothing of us.
ABOUT_THE_PERSON = frozenset({*_PERSON, "opt_out"})


def answer(submission: Submission, provider: Provider) -> News:
    """Calls the provider, once."""
    message_id = submission.message.id
    try:
        accepted = provider.send(submission.letter)
    except OutcomeUnknown as error:
        return News(
            message_id,
            "submitting",
            "uncertain",
            {"provider": provider.name, "error_code": error.code, "error": str(error)},
        )
    except ProviderError as error:
        return _refused(submission, error)
    except Exception as error:  # noqa: BLE001 - per-item isolation: a bug in an adapter is no proof
        logs.error("provider_adapter_failed", message=message_id, error=error)
        return News(
            message_id,
            "submitting",
            "uncertain",
            {
                "provider": provider.name,
                "error_code": "adapter",
                "error": f"Erreur inattendue pendant l'envoi ({type(error).__name__}).",
            },
        )
    some_refused = getattr(accepted, "refused_recipients", ())
    return News(
        message_id,
        "submitting",
        "accepted",
        {
            "provider": provider.name,
            "provider_id": accepted.provider_id,
            "error_code": "some_refused" if some_refused else None,
            "attempts": 1,
        },
    )


def about_the_person(submission: Submission, news: News) -> Suppression | None:
    """The entry of the suppression list that a refusal calls for, if it calls for one."""
    contact = submission.marks.fields.get("contact")
    letter = submission.letter
    if news.state != "refused" or not contact or (isinstance(letter, Mail) and letter.cc):
        return None
    message = submission.message
    code, category = str(news.fields.get("error_code")), EVERYTHING
    reason, everybody = _PERSON.get(code, (None, False))
    if code == "opt_out":
        reason, category = opted_out(news.fields["provider"])
    if reason is None:
        return None
    return Suppression(
        business_id=EVERYBODY if everybody else message.business_id,
        channel="whatsapp" if message.channel == "whatsapp" else "email",
        contact=contact,
        reason=reason,
        category=category,
        person=message.person,
        source=f"message:{message.id}",
    )


def _refused(submission: Submission, error: ProviderError) -> News:
    told = {"provider": error.provider, "error_code": error.code, "error": str(error)}
    if error.code in SENDER_WIDE_CODES:
        # The fault is our account's or the server's: no message is blamed for it.
        wait = error.retry_after or FIRST_RETRY_S * random.uniform(1, 2)  # noqa: S311 - jitter
        return _again(submission, wait, told | {"attempts": 0})
    if error.code in TEMPLATE_WIDE_CODES:
        held = {"hold_reason": "template", "wait": f"{TEMPLATE_RETRY_S} seconds"}
        return News(submission.message.id, "submitting", "held", told | held)
    attempts = submission.message.attempts + 1
    if error.permanent or attempts >= submission.kind.max_attempts:
        return News(submission.message.id, "submitting", "refused", told | {"attempts": 1})
    return _again(submission, backoff(attempts, error.retry_after), told | {"attempts": 1})


def backoff(attempts: int, retry_after: float | None) -> float:
    """Seconds to wait after that many calls: exponential with jitter, never sooner than asked."""
    chance = random.random()  # noqa: S311 - not a secret
    return rates.backoff(
        attempts,
        first=FIRST_RETRY_S,
        longest=LAST_RETRY_S,
        chance=chance,
        retry_after=retry_after,
    )


def _again(submission: Submission, wait: float, told: dict[str, Any]) -> News:
    fields = told | {"wait": f"{wait:.3f} seconds"}
    return News(submission.message.id, "submitting", "planned", fields)
