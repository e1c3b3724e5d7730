"""Deletes a customer at Stripe, with what Stripe keeps of them: cards, addresses, subscriptions.

`DELETE /v1/customers/{id}` (docs.stripe.com/api/customers/delete). A customer who is not there any
more is as good as deleted; so the call may be repeated.
"""

from __future__ import annotations

from urllib.parse import quote

from chalicelib.errors import ProviderError
from chalicelib.providers.https import AnswerLost, HttpsClient, NotSent

BASE_URL = "https://api.stripe.com"
CALL_TIMEOUT_S = 20.0


def delete_customer(customer_id: str, api_key: str, *, base_url: str = BASE_URL) -> bool:
    """Whether there was one. Raises `ProviderError`, transient unless the key or the id is refused;
    a lost answer is transient too."""
    client = HttpsClient(base_url, call_timeout=CALL_TIMEOUT_S)
    try:
        answer = client.call(
            "DELETE",
            f"/v1/customers/{quote(customer_id, safe='')}",
            {"Authorization": f"Bearer {api_key}"},
            b"",
        )
    except (NotSent, AnswerLost):
        raise ProviderError(
            "stripe", "Stripe ne répond pas.", permanent=False, code="stripe_unreachable"
        ) from None
    finally:
        client.close()
    if answer.status in (200, 404):
        return answer.status == 200
    refused = answer.status in (400, 401, 403)
    raise ProviderError(
        "stripe",
        "Stripe refuse la clé ou la demande : vérifiez STRIPE_API_KEY (droit d'écriture sur "
        "Customers)."
        if refused
        else f"Stripe a répondu {answer.status}.",
        permanent=refused,
        code=f"stripe_{answer.status}",
        retry_after=answer.retry_after(),
    )
