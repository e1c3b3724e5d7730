"""What runs in the child: the real handler, with tripwires on commits and on calls."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

import chalicelib.domain.billing.kinds
import chalicelib.domain.operations.kinds
import chalicelib.outbox.rendering
import chalicelib.providers.mail.smtp  # noqa: F401 - imported once, by the fork server
from chalicelib import jobs
from chalicelib.outbox import deliver
from chalicelib.providers.mail.smtp import SmtpProvider
from chalicelib.providers.mail.smtp_session import SmtpSession
from chalicelib.runner.events import envelope
from tests.harness import Context
from tests.reliability.child import Point, Tripwire

for _name in jobs.NAMES:
    jobs.module(_name)


def main(
    environment: dict[str, str],
    job: str,
    at: Point | None,
    signal_number: int,
    seconds: float,
    trace: Path | None,
) -> None:
    os.environ.update(environment)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for the process's life
    deliver.CALL_S = float(environment.get("TEST_CALL_SECONDS", deliver.CALL_S))
    wire = Tripwire(at, signal_number)
    _arm(wire)
    jobs.module(job).handler(envelope(job), Context(seconds))
    if trace is not None:
        trace.write_text(json.dumps(wire.reached))


def _arm(wire: Tripwire) -> None:
    commit, send, content = PGDialect_pg8000.do_commit, SmtpProvider.send, SmtpSession.send_content

    def do_commit(self: Any, connection: Any) -> None:
        wire.reach("before_commit")
        commit(self, connection)
        wire.reach("after_commit")

    def send_mail(self: Any, mail: Any) -> Any:
        wire.reach("before_call")
        answer = send(self, mail)
        wire.reach("after_call")
        return answer

    def send_content(self: Any, data: bytes, deadline: Any) -> None:
        content(self, data, deadline)
        wire.reach("inside_call")

    PGDialect_pg8000.do_commit = do_commit  # type: ignore[method-assign]  # a tripwire of the test
    SmtpProvider.send = send_mail  # type: ignore[method-assign]  # a tripwire of the test
    SmtpSession.send_content = send_content  # type: ignore[method-assign]  # a tripwire of the test
