"""Twilio's Messages API on the loopback: keeps what it accepts, lists it, and calls back signed.

In a test:

    with TwilioSandbox(folder) as twilio:
        twilio.fail("accept_then_close", recipient="+33612345678", count=1)
        twilio.status(entry, "delivered").send()
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from chalicelib.providers.whatsapp.port import REFERENCE
from sandbox.whatsapp_http import Reply, Request, Webhook, json_reply
from sandbox.whatsapp_journal import Entry
from sandbox.whatsapp_server import WhatsAppSandbox

ACCOUNT = "AC" + "0" * 31 + "1"
TOKEN = "0123456789abcdef0123456789abcdef"
NUMBER = "+33939010203"
LONGEST_BODY = 1600
API = "2010-04-01"

_STATUS = {20003: 401, 20404: 404, 20429: 429, 20500: 500}
_ADDRESS = re.compile(r"whatsapp:(?:\+[1-9][0-9]{6,14}|[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128})")
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class TwilioSandbox(WhatsAppSandbox):
    """`templates`: Content SID → text with `{{1}}` or `{{name}}`; one that is not there is known
    all the same, and shows its variables only. `clock`: Twilio's own, which dates what it lists."""

    def __init__(
        self,
        folder: Path,
        *,
        account: str = ACCOUNT,
        token: str = TOKEN,
        number: str = NUMBER,
        templates: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        **server: Any,
    ) -> None:
        super().__init__(folder, **server)
        self.account = account
        self.token = token
        self.number = number
        self.templates = dict(templates or {})
        self._clock = clock
        self._messages: dict[str, dict[str, Any]] = {}  # by SID, as the API shows them
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """What `open_whatsapp` takes."""
        options = urlencode({"from": self.number, "base_url": self.base_url})
        return f"twilio://{self.account}:{self.token}@?{options}"

    @property
    def path(self) -> str:
        return f"/{API}/Accounts/{self.account}/Messages.json"

    def answer(self, request: Request) -> Reply:
        if not self._authorized(request.headers.get("authorization", "")):
            return self.error(20003)
        if request.path != self.path:
            return self.error(20404)
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        query = dict(parse_qsl(request.query))
        if self.contract is not None:
            found = self.contract.request_problems(
                request.method, request.path, request.headers, form, query
            )
            self.problems += found
            if found:
                return self.error(20001, 400)
        return self._list(query) if request.method == "GET" else self._create(form)

    def error(self, code: int, status: int = 0) -> Reply:
        status = status or _STATUS.get(code, 400)
        more = f"https://www.twilio.com/docs/errors/{code}"
        told = {"code": code, "message": f"Error {code}", "more_info": more, "status": status}
        return json_reply(status, told)

    def status(self, entry: Entry, status: str, error_code: int | None = None) -> Webhook:
        """What Twilio posts to the message's StatusCallback: `queued`, `sent`, `delivered`,
        `read`, `undelivered` or `failed`. The listing shows it from now on."""
        with self._lock:
            message = self._messages[entry.provider_id]
            message |= {"status": status, "error_code": error_code}
        form = {
            "AccountSid": self.account,
            "ApiVersion": API,
            "ChannelPrefix": "whatsapp",
            "From": f"whatsapp:{entry.sender}",
            "MessageSid": entry.provider_id,
            "MessageStatus": status,
            "SmsSid": entry.provider_id,
            "SmsStatus": status,
            "To": f"whatsapp:{entry.recipient}",
        }
        if error_code is not None:
            form["ErrorCode"] = str(error_code)
        return self._webhook(entry.callback_url, form)

    def inbound(self, url: str, sender: str, text: str, **fields: str) -> Webhook:
        """What Twilio posts to `url` when somebody writes; `sender` is a number or a user id."""
        sid = f"SM{uuid4().hex}"
        form = {
            "AccountSid": self.account,
            "ApiVersion": API,
            "Body": text,
            "From": f"whatsapp:{sender}",
            "MessageSid": sid,
            "MessageType": "text",
            "NumMedia": "0",
            "NumSegments": "1",
            "ProfileName": "Client",
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "To": f"whatsapp:{self.number}",
        }
        if sender.startswith("+"):
            form["WaId"] = sender[1:]
        return self._webhook(url, form | fields)

    def _webhook(self, url: str, form: Mapping[str, str]) -> Webhook:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "I-Twilio-Idempotency-Token": str(uuid4()),
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature(self.token, url, form),
        }
        return Webhook(url, headers, urlencode(form).encode())

    def _authorized(self, header: str) -> bool:
        scheme, _, credentials = header.partition(" ")
        try:
            user, _, secret = b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            return False
        is_known = user == self.account or user.startswith("SK")
        return scheme == "Basic" and is_known and secret == self.token

    def _create(self, form: dict[str, str]) -> Reply:
        wrong = self._wrong(form)
        if wrong:
            return self.error(wrong)
        variables = json.loads(form.get("ContentVariables", "{}"))
        callback = form.get("StatusCallback", "")
        entry = Entry(
            outcome="accepted",
            provider_id=f"SM{uuid4().hex}",
            reference=dict(parse_qsl(callback.partition("?")[2])).get(REFERENCE, ""),
            sender=form.get("From", f"whatsapp:{self.number}").removeprefix("whatsapp:"),
            recipient=form["To"].removeprefix("whatsapp:"),
            text=form.get("Body") or self._rendered(form["ContentSid"], variables),
            template=form.get("ContentSid", ""),
            variables=variables,
            at=datetime.now(UTC).isoformat(),
            callback_url=callback,
        )
        return self.take(entry, lambda: self._accept(entry, form))

    def _accept(self, entry: Entry, form: Mapping[str, str]) -> Reply:
        resource = self._resource(entry, form)
        with self._lock:
            self._messages[entry.provider_id] = resource
        return json_reply(201, resource)

    def _wrong(self, form: dict[str, str]) -> int:
        """The error number for what the real API refuses at once, 0 when there is nothing."""
        if not _ADDRESS.fullmatch(form.get("To", "")):
            return 21211 if "To" in form else 21604
        if "From" not in form and "MessagingServiceSid" not in form:
            return 21603
        if "From" in form and form["From"] != f"whatsapp:{self.number}":
            return 63007
        if not form.get("Body") and not form.get("ContentSid"):
            return 21619
        if len(form.get("Body", "")) > LONGEST_BODY:
            return 21617
        try:
            variables = json.loads(form.get("ContentVariables", "{}"))
        except ValueError:
            return 21656
        return 0 if isinstance(variables, dict) else 21656

    def _rendered(self, template: str, variables: Mapping[str, str]) -> str:
        text = self.templates.get(template)
        if text is None:
            return " · ".join(variables.values())
        return _PLACE.sub(lambda place: variables.get(place[1], place[0]), text)

    def _resource(self, entry: Entry, form: Mapping[str, str]) -> dict[str, Any]:
        created = self._clock().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        path = f"/{API}/Accounts/{self.account}/Messages/{entry.provider_id}"
        service = form.get("MessagingServiceSid")
        return {
            "account_sid": self.account,
            "api_version": API,
            "body": entry.text,
            "date_created": created,
            "date_sent": None,
            "date_updated": created,
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form.get("From"),
            "messaging_service_sid": service,
            "num_media": "0",
            "num_segments": "1",
            "price": None,
            "price_unit": None,
            "sid": entry.provider_id,
            "status": "accepted" if service else "queued",
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": f"whatsapp:{entry.recipient}",
            "uri": f"{path}.json",
        }

    def _list(self, query: Mapping[str, str]) -> Reply:
        size, page = int(query.get("PageSize", "50")), int(query.get("Page", "0"))
        with self._lock:
            newest_first = [dict(message) for message in reversed(self._messages.values())]
        for parameter, name in (("To", "to"), ("From", "from")):
            if parameter in query:
                newest_first = [m for m in newest_first if m[name] == query[parameter]]
        start = page * size
        following = urlencode({**query, "PageSize": size, "Page": page + 1, "PageToken": "PA"})
        more = len(newest_first) > start + size
        return json_reply(
            200,
            {
                "messages": newest_first[start : start + size],
                "page": page,
                "page_size": size,
                "start": start,
                "end": start + size - 1,
                "uri": self.path,
                "first_page_uri": self.path,
                "previous_page_uri": None,
                "next_page_uri": f"{self.path}?{following}" if more else None,
            },
        )


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the address and the sorted fields
    (twilio.com/docs/usage/security)."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
