"""The effect that follows leads up: proposals to closers, or messages, from one decision.

A batch is one decision: its rows, its messages and what its closers are told of are committed
together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.domain.leads import notices, queries
from chalicelib.domain.leads.contacts import known_of
from chalicelib.domain.leads.decisions import (
    Followup,
    Row,
    decide,
    expiry,
    reach,
)
from chalicelib.domain.leads.facts import FOLLOWUP
from chalicelib.domain.leads.reasons import LEFT_OUT
from chalicelib.domain.leads.texts import text_of
from chalicelib.domain.people.notifications import not_written
from chalicelib.errors import MissingVariable, NotFound
from chalicelib.outbox.plan import Plan
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

_RECORD = text("""
INSERT INTO ponctuel.lead_followups
       (business_id, lead_id, cycle, number, mode, state, closer_id, phone, content, due_at,
        proposed_at, expires_at, settled_at, settled_by, reason, run_id)
SELECT r.business_id, r.lead_id, r.cycle, r.number, r.mode, r.state, r.closer_id, r.phone,
       r.content, r.due_at, ponctuel.clock(), r.expires_at,
       CASE WHEN r.state = 'cancelled' THEN ponctuel.clock() END,
       CASE WHEN r.state = 'cancelled' THEN 'run' END, r.reason, :run_id
  FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r(business_id text, lead_id text, cycle text, number integer, mode text, state text,
         closer_id text, phone text, content text, due_at timestamptz, expires_at timestamptz,
         reason text, nth bigint)
 ORDER BY r.nth
    ON CONFLICT DO NOTHING
RETURNING business_id, lead_id, state
""")
_MESSAGES = f"""
SELECT r.business_id, '{FOLLOWUP}' AS kind, r.lead_id AS subject, r.cycle, r.number::text AS step,
       'whatsapp' AS channel, r.lead_id AS person, r.phone AS recipient, r.content,
       r.opens_at AS not_before, r.expires_at, NULL::jsonb AS lines, NULL::text AS order_key
  FROM jsonb_to_recordset(CAST(:messages AS jsonb))
    AS r(business_id text, lead_id text, cycle text, number integer, phone text, content jsonb,
         opens_at timestamptz, expires_at timestamptz)
"""


@dataclass(frozen=True)
class _Work:
    """What a batch comes to: rows of `lead_followups`, messages, notices of closers."""

    rows: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]
    told: Sequence[notices.Told]
    left_out: Sequence[tuple[Row, str]]
    errors: Sequence[ItemError]


@dataclass(frozen=True)
class FollowUp:
    """Decides for the leads of a batch, the oldest promise first, and does it."""

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        work = _work(run, connection, batch)
        numbered = [dict(row) | {"nth": nth} for nth, row in enumerate(work.rows)]
        values = {"rows": json.dumps(numbered), "run_id": run.id}
        recorded = connection.execute(_RECORD, values).mappings().all()
        states = [row["state"] for row in recorded]
        # A lead may still have a message under way of which nobody knows yet whether it left.
        under_way = {_lead(row) for row in recorded if row["state"] == "planned"}
        messages = [row for row in work.messages if _lead(row) in under_way]
        planned = 0
        for select, name, rows in _plans(replace(work, messages=messages)):
            told = Batch(batch.cte, {**batch.parameters, name: json.dumps(rows)})
            planned += Plan(select).apply(run, connection, told).counts["planned"]
        shown = notices.notify(connection, run.id, work.told, run.now)
        errors = [*work.errors, *([] if shown else [not_written()])]
        counts = {
            "proposed": states.count("proposed"),
            "planned": planned,
            "numbers_unusable": states.count("cancelled"),
        }
        return Outcome({name: count for name, count in counts.items() if count}, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        work = _work(run, connection, batch)
        messages: list[Mapping[str, Any]] = []
        for select, name, rows in _plans(work):
            told = Batch(batch.cte, {**batch.parameters, name: json.dumps(rows)})
            messages += Plan(select).preview(run, connection, told).messages
        changes = [_change(row) for row in work.rows if row["state"] != "planned"]
        changes += [
            {"change": "closers_notified", "business_id": one.business_id, "subject": one.user_id}
            for one in work.told
            if one.count
        ]
        left_out = [_left_out(row, code) for row, code in work.left_out]
        left_out += [
            dict(row)
            | {"why": LEFT_OUT.get(row["reason"], row["reason"])}
            | {"effective_on": row["effective_on"].isoformat() if row["effective_on"] else None}
            for row in connection.execute(text(queries.LEFT_OUT), batch.parameters).mappings()
        ]
        return Preview(changes=changes, messages=messages, left_out=left_out)


def _lead(row: Mapping[Any, Any]) -> tuple[str, str]:
    return row["business_id"], row["lead_id"]


def _plans(work: _Work) -> list[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    """(SELECT, parameter, rows) of what is planned through the outbox."""
    digests = notices.digests(work.told)
    found = [(_MESSAGES, "messages", work.messages), (notices.DIGESTS, "digests", digests)]
    return [plan for plan in found if plan[2]]


def _work(run: Run, connection: Connection, batch: Batch) -> _Work:
    statement = text(queries.OF_BATCH.replace("{batch}", batch.cte))
    rows = connection.execute(statement, batch.parameters).mappings().all()
    reached, unusable = reach(rows)
    decided = decide(reached, known_of(connection, reached), run.now)
    records = [_refused(row, code) for row, code in unusable]
    messages, errors, proposed = [], [], []
    for followup in decided.followups:
        row = followup.lead.row
        if row["mode"] == "api":
            records.append(_record(followup, "planned", ""))
            messages.append(_message(followup))
            continue
        try:
            written = text_of(row, row["variant"])
        except (MissingVariable, NotFound) as error:
            logs.warning("lead_text_failed", business=row["business_id"], lead=row["id"])
            errors.append(ItemError(row["business_id"], row["id"], error.code, str(error)))
            continue
        records.append(_record(followup, "proposed", written))
        proposed.append(followup)
    refused = [row for row, _ in unusable]
    told = notices.readers(connection, proposed, refused, run.id, run.now)
    return _Work(records, messages, told, [*unusable, *decided.left_out], errors)


def _record(followup: Followup, state: str, written: str) -> dict[str, Any]:
    row = followup.lead.row
    return {
        "business_id": row["business_id"],
        "lead_id": row["id"],
        "cycle": row["cycle"],
        "number": row["number"],
        "mode": row["mode"],
        "state": state,
        "closer_id": row["closer_id"] if state == "proposed" else None,
        "phone": followup.lead.contact,
        "content": written,
        "due_at": row["due_at"].isoformat(),
        "expires_at": expiry(row, followup.opens_at).isoformat(),
        "reason": None,
    }


def _refused(row: Row, code: str) -> dict[str, Any]:
    """Recorded with the number as it was typed, so that it is not tried again before somebody has
    corrected it."""
    names = ("business_id", "cycle", "number", "mode", "phone")
    due_at = row["due_at"].isoformat()
    return {
        **{name: row[name] for name in names},
        "lead_id": row["id"],
        "state": "cancelled",
        "closer_id": row["closer_id"],
        "content": "",
        "due_at": due_at,
        "expires_at": due_at,
        "reason": code,
    }


def _message(followup: Followup) -> dict[str, Any]:
    row = followup.lead.row
    return {
        "business_id": row["business_id"],
        "lead_id": row["id"],
        "cycle": row["cycle"],
        "number": row["number"],
        "phone": followup.lead.contact,
        "content": {"document": "lead", "number": row["id"], "level": row["number"]},
        "opens_at": followup.opens_at.isoformat(),
        "expires_at": expiry(row, followup.opens_at).isoformat(),
    }


def _change(row: Mapping[str, Any]) -> dict[str, Any]:
    what = "followup_proposed" if row["state"] == "proposed" else "number_unusable"
    return {
        "change": what,
        "business_id": row["business_id"],
        "subject": row["lead_id"],
        "number": row["number"],
    }


def _left_out(row: Row, code: str) -> dict[str, Any]:
    return {
        "business_id": row["business_id"],
        "document": "lead",
        "subject": row["id"],
        "number": row["id"],
        "level": row["number"],
        "effective_on": row["due_at"].isoformat(),
        "reason": code,
        "why": LEFT_OUT.get(code, code),
    }
