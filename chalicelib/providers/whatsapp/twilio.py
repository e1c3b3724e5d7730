"""WhatsApp through Twilio's Messages API (2010-04-01).

Twilio has no idempotency key: a call is made once. Our reference travels in the StatusCallback
address, and what Twilio remembers of a recipient can be listed; so there are two proofs for a call
whose answer was lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from chalicelib.errors import OutcomeUnknown, ProviderError, SettingsError
from chalicelib.providers.https import Answer, AnswerLost, HttpsClient, NotSent, usable
from chalicelib.providers.whatsapp.content import (
    checked_recipient,
    checked_text,
    checked_variables,
    is_number,
)
from chalicelib.providers.whatsapp.port import REFERENCE, Accepted, Text, Trace, WhatsAppMessage
from chalicelib.providers.whatsapp.refusals import (
    refusal,
    refusal_by_answer,
    refusal_by_number,
    unknown,
)
from chalicelib.providers.whatsapp.twilio_traces import (
    LONGEST_TEXT,
    MESSAGE_SID,
    Likeness,
    trace_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE_URL = "https://api.twilio.com"
PAGE_SIZE = 200
MOST_PAGES = 5

_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
_KEY = re.compile(r"(?:AC|SK)[0-9a-fA-F]{32}")
_SECRET = re.compile(r"[!-~]{1,500}")
_VISIBLE = re.compile(r"[!-~]{1,2000}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT = re.compile(r"HX[0-9a-fA-F]{32}")
_CALLBACK = re.compile(r"https?://[!-~]{1,2000}")
_NOT_SENT = frozenset({"failed", "undelivered", "canceled"})


@dataclass(frozen=True)
class TwilioSettings:
    """`key` is the account's SID with its auth token as `secret`, or an API key (`SK…`) with its
    own. The default sender is a number in E.164, a messaging service, or both. Raises
    `SettingsError`."""

    account: str
    key: str
    secret: str = field(repr=False)
    number: str | None = None
    service: str | None = None
    base_url: str = BASE_URL

    def __post_init__(self) -> None:
        if (
            not _ACCOUNT.fullmatch(self.account)
            or not _KEY.fullmatch(self.key)
            or not _SECRET.fullmatch(self.secret)
            or not (self.number is None or is_number(self.number))
            or not (self.service is None or _SERVICE.fullmatch(self.service))
            or not usable(self.base_url)
        ):
            raise SettingsError(
                "Réglage de Twilio : vérifiez le SID du compte (AC…), la clé et son secret, le "
                "numéro (+33…) et le service (MG…)."
            )


class TwilioProvider:
    """Keeps its connection from one message to the next. One thread only."""

    name = "twilio"

    def __init__(
        self, settings: TwilioSettings, *, connect_timeout: float = 10, call_timeout: float = 45
    ) -> None:
        from base64 import b64encode

        self._settings = settings
        self._client = HttpsClient(
            settings.base_url, connect_timeout=connect_timeout, call_timeout=call_timeout
        )
        pair = f"{settings.key}:{settings.secret}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}
        self._path = f"/2010-04-01/Accounts/{settings.account}/Messages.json"
        self.call_timeout = call_timeout

    def send(self, message: WhatsAppMessage) -> Accepted:
        """See `WhatsAppProvider.send`."""
        body = urlencode(self._form(message)).encode("ascii")
        headers = self._headers | {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = self._client.call("POST", self._path, headers, body)
        except NotSent as error:
            raise refusal(self.name, error.reason) from None
        except AnswerLost:
            raise unknown(self.name) from None
        return _accepted(answer)

    def find(self, message: WhatsAppMessage, since: datetime) -> tuple[Trace, ...]:
        """See `WhatsAppProvider.find`. Twilio does not tell the StatusCallback address again, so
        what could be this message is told by recipient, sender, time and text. Its own filter on
        DateSent is of no use: a message that is still queued has none."""
        to = _address(checked_recipient(self.name, message.recipient))
        likeness = Likeness(message, self._sender(message), since)
        path = f"{self._path}?{urlencode({'To': to, 'PageSize': PAGE_SIZE})}"
        found: list[Trace] = []
        for _ in range(MOST_PAGES):
            page = self._page(path)
            rows = [row for row in page["messages"] if isinstance(row, dict)]
            traces = [trace_of(row) for row in rows if likeness.could_be(row, to)]
            found += [trace for trace in traces if trace is not None]
            following = self._next(page)
            older = bool(rows) and not any(likeness.in_time(row) for row in rows)
            # Newest first: after a page without a recent message there is none.
            if older or following is None:
                return tuple(found)
            path = following
        raise _cannot_tell()

    def close(self) -> None:
        self._client.close()

    def _form(self, message: WhatsAppMessage) -> dict[str, str]:
        form = {"To": _address(checked_recipient(self.name, message.recipient))}
        form |= self._sender(message)
        content = message.content
        if isinstance(content, Text):
            form["Body"] = checked_text(self.name, content, LONGEST_TEXT)
        elif not _CONTENT.fullmatch(content.name):
            raise refusal(self.name, "template_missing")
        else:
            import json

            form["ContentSid"] = content.name
            if variables := checked_variables(self.name, content):
                form["ContentVariables"] = json.dumps(variables, ensure_ascii=False)
        if message.callback_url is not None:
            form["StatusCallback"] = _callback(message.callback_url, message.reference)
        return form

    def _sender(self, message: WhatsAppMessage) -> dict[str, str]:
        number, service = self._settings.number, self._settings.service
        if message.sender is not None:
            is_service = _SERVICE.fullmatch(message.sender) is not None
            number, service = (None, message.sender) if is_service else (message.sender, None)
        form = {}
        if service is not None:
            form["MessagingServiceSid"] = service
        if number is not None and is_number(number):
            form["From"] = _address(number)
        if not form:
            raise refusal(self.name, "sender")
        return form

    def _next(self, page: dict[str, Any]) -> str | None:
        """The path of the next page, None if there is none, or none of this list."""
        path = page.get("next_page_uri")
        if not isinstance(path, str) or not _VISIBLE.fullmatch(path):
            return None
        return path if path.startswith(f"{self._path}?") else None

    def _page(self, path: str) -> dict[str, Any]:
        try:
            answer = self._client.call("GET", path, self._headers, b"")
        except NotSent as error:
            raise refusal(self.name, error.reason) from None
        except AnswerLost:
            raise refusal(self.name, "connection") from None
        page = answer.json_object()
        if answer.status == 200 and page is not None and isinstance(page.get("messages"), list):
            return page
        refused = _error(answer, page or {})
        raise _cannot_tell() if isinstance(refused, OutcomeUnknown) else refused


def _accepted(answer: Answer) -> Accepted:
    found = answer.json_object()
    if found is None or not 200 <= answer.status < 300:
        raise _error(answer, found or {})
    sid, status = found.get("sid"), found.get("status")
    if not isinstance(sid, str) or not MESSAGE_SID.fullmatch(sid):
        raise _error(answer, found)
    number = found.get("error_code")
    if isinstance(number, int) and number > 0:
        raise refusal_by_number("twilio", number)
    state = status if isinstance(status, str) else "accepted"
    if state in _NOT_SENT:
        raise refusal_by_number("twilio", state)
    return Accepted(sid, state)


def _error(answer: Answer, found: Mapping[str, Any]) -> ProviderError | OutcomeUnknown:
    """Twilio (or something on the way) answered with something else than a message."""
    retry_after = answer.retry_after()
    return refusal_by_answer("twilio", answer.status, found.get("code"), retry_after=retry_after)


def _cannot_tell() -> ProviderError:
    message = "Twilio n’a pas pu dire ce qu’il a envoyé : la recherche sera refaite."
    return ProviderError("twilio", message, permanent=False, code="connection")


def _callback(url: str, reference: str) -> str:
    if not _CALLBACK.fullmatch(url) or "#" in url:
        raise refusal("twilio", "configuration")
    return f"{url}{'&' if '?' in url else '?'}{REFERENCE}={reference}"


def _address(recipient: str) -> str:
    """`whatsapp:` before a number or a business-scoped user id, as Twilio writes both."""
    return f"whatsapp:{recipient}"
