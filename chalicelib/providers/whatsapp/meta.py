"""WhatsApp through Meta's Cloud API (Graph API, `/{phone_number_id}/messages`).

Meta has neither an idempotency key nor a list of what it took: a call is made once, and the only
proof for one whose answer was lost is a status webhook, in which `biz_opaque_callback_data` brings
our reference back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chalicelib.errors import OutcomeUnknown, ProviderError, SettingsError
from chalicelib.providers.https import Answer, AnswerLost, HttpsClient, NotSent, usable
from chalicelib.providers.whatsapp.content import (
    checked_recipient,
    checked_text,
    checked_variables,
    is_user_id,
)
from chalicelib.providers.whatsapp.port import Accepted, Template, Text, Trace, WhatsAppMessage
from chalicelib.providers.whatsapp.refusals import (
    refusal,
    refusal_by_answer,
    unknown,
)

BASE_URL = "https://graph.facebook.com"
VERSION = "v23.0"
LONGEST_TEXT = 4096  # characters (Cloud API, text messages)

_PHONE_NUMBER_ID = re.compile(r"[0-9]{1,32}")
_TOKEN = re.compile(r"[!-~]{1,1000}")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:_[A-Z]{2})?")
_PROVIDER_ID = re.compile(r"[!-~]{1,256}")
_INVALID_PARAMETER = 100
_NO_SUCH_OBJECT = 33  # as error_subcode: the phone number id is wrong, or not this token's


@dataclass(frozen=True)
class MetaSettings:
    """`token` is a system user's access token; `phone_number_id` the default sender. Raises
    `SettingsError`."""

    phone_number_id: str
    token: str = field(repr=False)
    version: str = VERSION
    base_url: str = BASE_URL

    def __post_init__(self) -> None:
        if (
            not _PHONE_NUMBER_ID.fullmatch(self.phone_number_id)
            or not _TOKEN.fullmatch(self.token)
            or not _VERSION.fullmatch(self.version)
            or not usable(self.base_url)
        ):
            raise SettingsError(
                "Réglage de WhatsApp (Meta) : vérifiez l’identifiant du numéro (des chiffres), le "
                "jeton et la version (v23.0)."
            )


class MetaProvider:
    """Keeps its connection from one message to the next. One thread only."""

    name = "meta"

    def __init__(
        self, settings: MetaSettings, *, connect_timeout: float = 10, call_timeout: float = 45
    ) -> None:
        self._settings = settings
        self._client = HttpsClient(
            settings.base_url, connect_timeout=connect_timeout, call_timeout=call_timeout
        )
        self._headers = {
            "Authorization": f"Bearer {settings.token}",
            "Content-Type": "application/json",
        }
        self.call_timeout = call_timeout

    def send(self, message: WhatsAppMessage) -> Accepted:
        """See `WhatsAppProvider.send`."""
        import json

        sender = message.sender or self._settings.phone_number_id
        if not _PHONE_NUMBER_ID.fullmatch(sender):
            raise refusal(self.name, "sender")
        path = f"/{self._settings.version}/{sender}/messages"
        body = json.dumps(self._request(message), ensure_ascii=False).encode()
        try:
            answer = self._client.call("POST", path, self._headers, body)
        except NotSent as error:
            raise refusal(self.name, error.reason) from None
        except AnswerLost:
            raise unknown(self.name) from None
        return _accepted(answer)

    def find(self, message: WhatsAppMessage, since: datetime) -> tuple[Trace, ...] | None:
        """None: Meta offers no such search."""
        return None

    def close(self) -> None:
        self._client.close()

    def _request(self, message: WhatsAppMessage) -> dict[str, Any]:
        recipient = checked_recipient(self.name, message.recipient)
        # A business-scoped user id in `to` is answered 200 with an id, and is never delivered.
        whom = "recipient" if is_user_id(recipient) else "to"
        request: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            whom: recipient,
            "biz_opaque_callback_data": message.reference,
        }
        content = message.content
        if isinstance(content, Text):
            body = checked_text(self.name, content, LONGEST_TEXT)
            return request | {"type": "text", "text": {"body": body, "preview_url": False}}
        return request | {"type": "template", "template": _template(content)}


def _template(template: Template) -> dict[str, Any]:
    if not _TEMPLATE_NAME.fullmatch(template.name) or not _LANGUAGE.fullmatch(template.language):
        raise refusal("meta", "template_missing")
    named = isinstance(template.variables, Mapping)
    parameters = [
        {"type": "text"} | ({"parameter_name": name} if named else {}) | {"text": value}
        for name, value in checked_variables("meta", template).items()
    ]
    language = {"policy": "deterministic", "code": template.language}
    found: dict[str, Any] = {"name": template.name, "language": language}
    if parameters:
        found["components"] = [{"type": "body", "parameters": parameters}]
    return found


def _accepted(answer: Answer) -> Accepted:
    found = answer.json_object()
    if found is None or not 200 <= answer.status < 300 or "error" in found:
        raise _error(answer, found or {})
    messages = found.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    provider_id = first.get("id") if isinstance(first, dict) else None
    if not isinstance(provider_id, str) or not _PROVIDER_ID.fullmatch(provider_id):
        raise unknown("meta")
    state = first.get("message_status") if isinstance(first, dict) else None
    return Accepted(provider_id, state if isinstance(state, str) else "accepted")


def _error(answer: Answer, found: Mapping[str, Any]) -> ProviderError | OutcomeUnknown:
    """Meta (or something on the way) answered with something else than a message."""
    error = found.get("error")
    details = error if isinstance(error, dict) else {}
    number = details.get("code")
    if number == _INVALID_PARAMETER and details.get("error_subcode") == _NO_SUCH_OBJECT:
        return refusal("meta", "sender")
    retry_after = answer.retry_after()
    return refusal_by_answer("meta", answer.status, number, retry_after=retry_after)
