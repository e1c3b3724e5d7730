"""What a provider's answer means for the ledger."""

from __future__ import annotations

import random

from chalicelib import logs
from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.outbox.claim import News
from chalicelib.outbox.submission import Submission
from chalicelib.providers.mail.port import SENDER_WIDE_CODES, MailProvider

FIRST_RETRY_S = 60.0
LAST_RETRY_S = 6 * 3600.0


def answer(submission: Submission, provider: MailProvider) -> News:
    """Calls the provider, once."""
    message_id = submission.message.id
    try:
        accepted = provider.send(submission.mail)
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
    return News(
        message_id,
        "submitting",
        "accepted",
        {
            "provider": provider.name,
            "provider_id": accepted.provider_id,
            "error_code": "some_refused" if accepted.refused_recipients else None,
            "attempts": 1,
        },
    )


def _refused(submission: Submission, error: ProviderError) -> News:
    told = {"provider": error.provider, "error_code": error.code, "error": str(error)}
    if error.code in SENDER_WIDE_CODES:
        # The fault is our account's or the server's: no message is blamed for it.
        wait = error.retry_after or FIRST_RETRY_S * random.uniform(1, 2)  # noqa: S311 - jitter
        return _again(submission, wait, told | {"attempts": 0})
    attempts = submission.message.attempts + 1
    if error.permanent or attempts >= submission.kind.max_attempts:
        return News(submission.message.id, "submitting", "refused", told | {"attempts": 1})
    return _again(submission, backoff(attempts, error.retry_after), told | {"attempts": 1})


def backoff(attempts: int, retry_after: float | None) -> float:
    """Seconds to wait after that many calls: exponential with jitter, never sooner than asked."""
    wait: float = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempts - 1, 16))
    jitter = random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
    return max(retry_after or 0.0, wait * jitter)


def _again(submission: Submission, wait: float, told: dict[str, object]) -> News:
    return News(
        submission.message.id, "submitting", "planned", told | {"wait": f"{wait:.3f} seconds"}
    )
