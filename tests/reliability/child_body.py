"""What runs in the child: the real handler, with tripwires on commits and on calls.

TEST_DEADLY is `render:<text>` or `send:<text>`: a letter with that text kills the process there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

import chalicelib.domain.billing.kinds
import chalicelib.domain.operations.kinds
import chalicelib.providers.mail.smtp  # noqa: F401 - imported once, by the fork server
from chalicelib import jobs
from chalicelib.outbox import mail_letter, rendering, senders
from chalicelib.outbox.rendering import Rendered
from chalicelib.providers.mail.port import Accepted, Mail
from chalicelib.providers.mail.smtp import SmtpProvider
from chalicelib.providers.mail.smtp_session import SmtpSession
from chalicelib.runner.events import envelope
from tests.harness import Context
from tests.reliability.child import Point, Tripwire

# Once, in the fork server: a child starts as warm as a Lambda that has worked before.
for _name in jobs.NAMES:
    jobs.module(_name)
for _template in ("invoice_followup", "quote_followup", "operator_alert"):
    rendering.render(_template, rendering.sample(_template))


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
    check, command = senders.Senders._one, SmtpSession.command

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

    def send_command(self: Any, line: str, deadline: Any) -> Any:
        if line == "DATA":
            wire.reach("before_content")
        return command(self, line, deadline)

    def send_content(self: Any, data: bytes, deadline: Any) -> None:
        content(self, data, deadline)
        wire.reach("inside_call")

    for owner, name, armed in (
        (PGDialect_pg8000, "do_commit", do_commit),
        (senders.Senders, "_one", check_and_send),
        (SmtpProvider, "send", send_mail),
        (SmtpSession, "command", send_command),
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
    render, send = rendering.render, SmtpProvider.send

    def die(text: str) -> None:
        if deadly in text:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly_render(template: str, content: Mapping[str, object]) -> Rendered:
        rendered = render(template, content)
        die(rendered.text)
        return rendered

    def deadly_send(self: SmtpProvider, mail: Mail) -> Accepted:
        die(mail.text)
        return send(self, mail)

    if where == "render":
        setattr(mail_letter, "render", deadly_render)  # noqa: B010 - where it was imported
    elif where == "send":
        SmtpProvider.send = deadly_send  # type: ignore[method-assign]  # the fault of the test
