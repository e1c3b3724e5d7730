"""What runs in the child: the real handler, with tripwires on commits and on calls.

TEST_DEADLY is `render:<text>` or `send:<text>`: a letter with that text kills the process there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

import chalicelib.domain.billing.kinds
import chalicelib.domain.operations.kinds
import chalicelib.providers.mail.smtp  # noqa: F401 - imported once, by the fork server
from chalicelib import jobs
from chalicelib.outbox import mail_letter, rendering, senders, whatsapp_letter, whatsapp_texts
from chalicelib.outbox.rendering import Rendered
from chalicelib.outbox.whatsapp_texts import WhatsAppText
from chalicelib.providers import https
from chalicelib.providers.mail.smtp import SmtpProvider
from chalicelib.providers.mail.smtp_session import SmtpSession
from chalicelib.providers.phones import normalised
from chalicelib.providers.whatsapp.twilio import TwilioProvider
from chalicelib.runner.events import envelope
from tests.harness import Context
from tests.reliability.child import Point, Tripwire

# Once, in the fork server: a child starts as warm as a Lambda that has worked before.
for _name in jobs.NAMES:
    jobs.module(_name)
for _template in ("invoice_followup", "quote_followup", "operator_alert"):
    rendering.render(_template, rendering.sample(_template))
whatsapp_texts.render("invoice_followup", "rappel", whatsapp_texts.sample("invoice_followup"))
normalised("06 39 98 00 01")


def main(
    environment: dict[str, str],
    job: str,
    at: Point | None,
    signal_number: int,
    seconds: float,
    trace: Path | None,
) -> None:
    settle_in(environment)
    wire = Tripwire(at, signal_number, trace)
    _arm(wire)
    _arm_deadly(*environment.get("TEST_DEADLY", ":").split(":", 1))
    jobs.module(job).handler(envelope(job), Context(seconds))
    if at is None:
        wire.tell()


def settle_in(environment: dict[str, str]) -> None:
    """What every child does first."""
    os.environ.update(environment)
    log = Path(environment.get("TEST_LOG", os.devnull))
    sys.stdout = sys.stderr = log.open("a")


def _arm(wire: Tripwire) -> None:
    commit, send, content = PGDialect_pg8000.do_commit, SmtpProvider.send, SmtpSession.send_content
    check, commands = senders.Senders._one, SmtpSession.send_commands
    send_whatsapp, transmit = TwilioProvider.send, https._transmit

    def do_commit(self: Any, connection: Any) -> None:
        place = _place()
        wire.reach(f"before:{place}")
        commit(self, connection)  # type: ignore[no-untyped-call]  # SQLAlchemy's
        wire.reach(f"after:{place}")

    def check_and_send(self: Any, submission: Any, latest: float) -> Any:
        wire.reach("before_check")
        return check(self, submission, latest)

    def send_mail(self: Any, mail: Any) -> Any:
        wire.reach("before_call")
        answer = send(self, mail)
        wire.reach("after_call")
        return answer

    def send_commands(self: Any, lines: Any, deadline: Any) -> None:
        if "DATA" in lines:
            wire.reach("before_content")
        commands(self, lines, deadline)

    def send_content(self: Any, data: bytes, deadline: Any) -> None:
        content(self, data, deadline)
        wire.reach("inside_call")

    def send_to_twilio(self: Any, message: Any) -> Any:
        wire.reach("before_call_whatsapp")
        answer = send_whatsapp(self, message)
        wire.reach("after_call_whatsapp")
        return answer

    def transmit_request(connected: Any, method: Any, *request: Any) -> Any:
        if method != "POST":
            return transmit(connected, method, *request)
        wire.reach("before_content_whatsapp")
        answering = transmit(connected, method, *request)
        wire.reach("inside_call_whatsapp")
        return answering

    for owner, name, armed in (
        (TwilioProvider, "send", send_to_twilio),
        (https, "_transmit", transmit_request),
        (PGDialect_pg8000, "do_commit", do_commit),
        (senders.Senders, "_one", check_and_send),
        (SmtpProvider, "send", send_mail),
        (SmtpSession, "send_commands", send_commands),
        (SmtpSession, "send_content", send_content),
    ):
        setattr(owner, name, armed)


def _place() -> str:
    """`module.function` of ours that commits: the innermost outside `chalicelib.db`."""
    frame = sys._getframe(1)
    while True:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("chalicelib.") and not module.startswith("chalicelib.db."):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
        if frame.f_back is None:
            return "elsewhere"
        frame = frame.f_back


def _arm_deadly(where: str, deadly: str) -> None:
    def die(text: str) -> None:
        if deadly in text:
            os.kill(os.getpid(), signal.SIGKILL)

    def rendered(render: Callable[..., Any]) -> Callable[..., Any]:
        def deadly_render(*arguments: Any) -> Any:
            written: Rendered | WhatsAppText = render(*arguments)
            die(written.text)
            return written

        return deadly_render

    def sent(send: Callable[..., Any], text: Callable[[Any], str]) -> Callable[..., Any]:
        def deadly_send(self: Any, letter: Any) -> Any:
            die(text(letter))
            return send(self, letter)

        return deadly_send

    if where == "render":  # where they were imported
        for module in (mail_letter, whatsapp_letter):
            setattr(module, "render", rendered(module.render))  # noqa: B010 - mypy
    elif where == "send":
        for provider, text in (
            (SmtpProvider, lambda mail: mail.text),
            (TwilioProvider, lambda message: " ".join(message.content.variables)),
        ):
            setattr(provider, "send", sent(provider.send, text))  # noqa: B010 - mypy
