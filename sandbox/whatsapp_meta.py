"""Meta's WhatsApp Cloud API on the loopback: keeps what it accepts, and calls back signed.

In a test:

    with MetaSandbox(folder) as meta:
        meta.fail("refuse", code=132015)
        meta.status("http://127.0.0.1:8000/webhooks/meta", entry, "delivered").send()
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from sandbox.whatsapp_http import Reply, Request, Webhook, json_reply
from sandbox.whatsapp_journal import Entry
from sandbox.whatsapp_server import WhatsAppSandbox

PHONE_NUMBER_ID = "106540352242922"
ACCOUNT_ID = "102290129340398"
TOKEN = "EAAsandbox0123456789"
APP_SECRET = "sandbox-app-secret"
DISPLAY_NUMBER = "33939010203"
LONGEST_BODY = 4096

_STATUS = {0: 401, 190: 401, 3: 500, 10: 403, 200: 403, 4: 400, 130429: 429}
_STATUS |= {131000: 500, 131005: 403, 131016: 500, 131031: 403, 131056: 400, 133004: 503}
_PATH = re.compile(r"/v[0-9]+\.[0-9]+/([0-9]+)/messages")
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")
_BAD_VARIABLE = re.compile(r"[\n\t\r]| {5}")


class MetaSandbox(WhatsAppSandbox):
    """`app_secret` signs the webhooks."""

    def __init__(
        self,
        folder: Path,
        *,
        phone_number_id: str = PHONE_NUMBER_ID,
        token: str = TOKEN,
        app_secret: str = APP_SECRET,
        **server: Any,
    ) -> None:
        super().__init__(folder, **server)
        self.phone_number_id = phone_number_id
        self.token = token
        self.app_secret = app_secret

    @property
    def url(self) -> str:
        """What `open_whatsapp` takes."""
        options = urlencode({"base_url": self.base_url})
        return f"meta://:{self.token}@{self.phone_number_id}?{options}"

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return self.error(190)
        found = _PATH.fullmatch(request.path)
        if found is None or request.method != "POST" or found[1] != self.phone_number_id:
            return self.error(100, subcode=33)
        try:
            body = json.loads(request.body)
        except ValueError:
            return self.error(100)
        if not isinstance(body, dict):
            return self.error(100)
        if self.contract is not None:
            # The document is of 2025, before there was `recipient` beside `to`.
            known = {"to": body.get("recipient"), **body} if "recipient" in body else body
            problems = self.contract.request_problems(
                request.method, request.path, request.headers, known
            )
            self.problems += problems
            if problems:
                return self.error(131009)
        return self._create(body)

    def error(self, code: int, status: int = 0, subcode: int | None = None) -> Reply:
        told: dict[str, Any] = {
            "message": f"(#{code}) Error",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": "Details"},
            "fbtrace_id": "A" * 23,
        }
        if subcode is not None:
            told["error_subcode"] = subcode
        return json_reply(status or _STATUS.get(code, 400), {"error": told})

    def status(self, url: str, entry: Entry, status: str, error_code: int | None = None) -> Webhook:
        """What Meta posts to the app's address: `sent`, `delivered`, `read` or `failed`."""
        row: dict[str, Any] = {
            "id": entry.provider_id,
            "status": status,
            "timestamp": str(int(time.time())),
            "recipient_id": entry.recipient.removeprefix("+"),
        }
        if entry.reference:
            row["biz_opaque_callback_data"] = entry.reference
        if error_code is not None:
            title = f"Error {error_code}"
            row["errors"] = [{"code": error_code, "title": title, "message": title}]
        return self._webhook(url, {"statuses": [row]})

    def inbound(self, url: str, sender: str, text: str, reply_to: str = "") -> Webhook:
        """What Meta posts when somebody writes; `sender` is a number, or a business-scoped user id
        of somebody who hides the number."""
        hidden = _USER_ID.fullmatch(sender) is not None
        digits = sender.removeprefix("+")
        message: dict[str, Any] = {
            "id": _wamid(),
            "timestamp": str(int(time.time())),
            "type": "text",
            "text": {"body": text},
        }
        message |= {"from_user_id": sender} if hidden else {"from": digits}
        if reply_to:
            message["context"] = {"from": DISPLAY_NUMBER, "id": reply_to}
        contact: dict[str, Any] = {"profile": {"name": "Client"}}
        contact |= {"user_id": sender} if hidden else {"wa_id": digits}
        return self._webhook(url, {"contacts": [contact], "messages": [message]})

    def verification(self, url: str, verify_token: str, challenge: str) -> Webhook:
        """What Meta asks when the address is entered in the app's settings."""
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": verify_token,
            "hub.challenge": challenge,
        }
        return Webhook(f"{url}?{urlencode(query)}", {}, b"", method="GET")

    def _webhook(self, url: str, value: Mapping[str, Any]) -> Webhook:
        metadata = {
            "display_phone_number": DISPLAY_NUMBER,
            "phone_number_id": self.phone_number_id,
        }
        change = {
            "field": "messages",
            "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
        }
        payload = {
            "object": "whatsapp_business_account",
            "entry": [{"id": ACCOUNT_ID, "changes": [change]}],
        }
        # Meta escapes what is not ASCII, and signs the bytes as they go out.
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": signature(self.app_secret, body),
        }
        return Webhook(url, headers, body)

    def _create(self, body: dict[str, Any]) -> Reply:
        wrong = _wrong(body)
        if wrong:
            return self.error(wrong)
        template = body.get("template", {})
        parameters = [
            parameter
            for component in template.get("components", ())
            for parameter in component["parameters"]
        ]
        variables = {
            parameter.get("parameter_name", str(number)): str(parameter["text"])
            for number, parameter in enumerate(parameters, 1)
        }
        recipient = body.get("to") or body["recipient"]
        entry = Entry(
            # A user id in `to` is taken for a number that nobody has.
            outcome="dropped" if _USER_ID.fullmatch(body.get("to", "")) else "accepted",
            provider_id=_wamid(),
            reference=body.get("biz_opaque_callback_data", ""),
            sender=self.phone_number_id,
            recipient=recipient,
            text=body["text"]["body"] if body["type"] == "text" else " · ".join(variables.values()),
            template=template.get("name", ""),
            variables=variables,
            at=datetime.now(UTC).isoformat(),
        )
        return self.take(entry, lambda: _accepted(entry))


def _wrong(body: dict[str, Any]) -> int:
    """The error number for what the real API refuses at once, 0 when there is nothing."""
    if body.get("messaging_product") != "whatsapp":
        return 100
    to, recipient = body.get("to"), body.get("recipient")
    if not to and not recipient:
        return 131008
    if to and not _NUMBER.fullmatch(to) and not _USER_ID.fullmatch(to):
        return 131009
    if not to and not _USER_ID.fullmatch(recipient or ""):
        return 131009
    if len(body.get("biz_opaque_callback_data", "")) > 512:
        return 131009
    if body.get("type") == "text":
        text = body.get("text", {}).get("body", "")
        return 131008 if not text else 100 if len(text) > LONGEST_BODY else 0
    if body.get("type") != "template":
        return 131051
    for component in body.get("template", {}).get("components", ()):
        for parameter in component.get("parameters", ()):
            if not parameter.get("text"):
                return 131008
            if _BAD_VARIABLE.search(parameter["text"]):
                return 132018
    return 0


def _accepted(entry: Entry) -> Reply:
    contact = {"input": entry.recipient}
    if _USER_ID.fullmatch(entry.recipient):
        contact["user_id"] = entry.recipient
    else:
        contact["wa_id"] = entry.recipient.removeprefix("+")
    message = {"id": entry.provider_id}
    if entry.template:
        message["message_status"] = "accepted"
    return json_reply(
        200,
        {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]},
    )


def _wamid() -> str:
    return f"wamid.{b64encode(uuid4().bytes).decode()}"


def signature(app_secret: str, body: bytes) -> str:
    """X-Hub-Signature-256 over the bytes (developers.facebook.com, validating payloads)."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
