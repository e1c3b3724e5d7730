"""Telling the operator, through the outbox like everybody else."""

from __future__ import annotations

import json

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.domain.operations.kinds import RUN_ALERT
from chalicelib.outbox.kinds import load
from chalicelib.runner.job import Run
from chalicelib.settings import settings

# An alert concerns the whole deployment: it belongs to no business.
DEPLOYMENT = ""

_PLAN = text("""
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, recipient, content,
                               state, planned_at, not_before, expires_at)
SELECT :business_id, :kind, :subject, :cycle, 'alert', 'email', :recipient,
       CAST(:content AS jsonb) || jsonb_build_object('when', to_jsonb(ponctuel.clock())), 'planned',
       ponctuel.clock(), ponctuel.clock(), ponctuel.clock() + :late_after
ON CONFLICT (business_id, kind, subject, cycle, step) WHERE NOT key_free DO NOTHING
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
    connection.execute(
        _PLAN,
        {
            "business_id": DEPLOYMENT,
            "kind": RUN_ALERT,
            "subject": f"{run.job}/{run.zone}",
            "cycle": str(run.id),
            "recipient": current.operator_email,
            "content": json.dumps(content),
            "late_after": load(RUN_ALERT).late_after,
        },
    )
