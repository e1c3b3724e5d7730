"""Telling the operator, through the outbox like everybody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.domain.operations.kinds import MESSAGES_ALERT, RUN_ALERT
from chalicelib.outbox import attention
from chalicelib.outbox.kinds import load
from chalicelib.runner.job import Run
from chalicelib.settings import settings

# An alert concerns the whole deployment: it belongs to no business.
DEPLOYMENT = ""

# No more letters about messages than that: what comes meanwhile is in the next one.
PAUSE = timedelta(hours=1)

_PLAN = text("""
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, recipient, content,
                               state, planned_at, not_before, expires_at)
SELECT :business_id, :kind, :subject, :cycle, 'alert', 'email', :recipient,
       CAST(:content AS jsonb) || jsonb_build_object('when', to_jsonb(ponctuel.clock())), 'planned',
       ponctuel.clock(), ponctuel.clock(), ponctuel.clock() + :late_after
ON CONFLICT (business_id, kind, subject, cycle, step) WHERE NOT key_free DO NOTHING
""")
_TOLD_JUST_NOW = text("""
SELECT EXISTS (SELECT 1 FROM ponctuel.messages
                WHERE business_id = :business_id AND kind = :kind
                  AND planned_at > ponctuel.clock() - CAST(:pause AS interval))
""")


def plan_run_alert(
    connection: Connection, run: Run, title: str, status: str, sentence: str
) -> None:
    """Plans the e-mail that says that a run ended badly, in the transaction that closes it."""
    current = settings()
    if current.operator_email is None:
        logs.warning("operator_email_not_set", job=run.job, run_id=str(run.id))
        return
    url = f"{current.public_url}/runs/{run.id}" if current.public_url else None
    content = {
        "job": run.job,
        "job_title": title,
        "status": status,
        "run_id": str(run.id),
        "error": sentence,
        "stage": current.stage,
        "url": url,
    }
    _plan(connection, RUN_ALERT, f"{run.job}/{run.zone}", str(run.id), content)


def plan_messages_alert(connection: Connection) -> None:
    """Plans the e-mail that names the messages which somebody has to look at, and tells the news of
    the account, of which nobody was told (`attention`). Without an operator's address the log alone
    tells them, once."""
    current = settings()
    recipient = current.operator_email
    values = {"business_id": DEPLOYMENT, "kind": MESSAGES_ALERT, "pause": PAUSE}
    if connection.execute(_TOLD_JUST_NOW, values).scalar_one():
        return
    troubles = attention.take(connection)
    for trouble in troubles:
        logs.error(
            "messages_need_attention",
            trouble=trouble.name,
            count=trouble.count,
            messages=list(trouble.ids),
        )
    notices = attention.take_notices(connection)
    for notice in notices:
        logs.error("provider_notice", name=notice["name"], detail=notice["detail"])
    if not troubles and not notices:
        return
    if recipient is None:
        logs.warning("operator_email_not_set")
        return
    content = {
        "stage": current.stage,
        "troubles": [asdict(trouble) for trouble in troubles],
        "notices": notices,
    }
    _plan(connection, MESSAGES_ALERT, "messages", str(uuid4()), content)


def _plan(
    connection: Connection, kind: str, subject: str, cycle: str, content: Mapping[str, Any]
) -> None:
    connection.execute(
        _PLAN,
        {
            "business_id": DEPLOYMENT,
            "kind": kind,
            "subject": subject,
            "cycle": cycle,
            "recipient": settings().operator_email,
            "content": json.dumps(content),
            "late_after": load(kind).late_after,
        },
    )
