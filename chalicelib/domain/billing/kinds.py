"""The messages of billing: their guard, which reads everything again just before sending."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at, subdivisions
from chalicelib.domain.billing.letters import compose
from chalicelib.outbox.kinds import Cancel, Claimed, Hold, Kind, Verdict, register

_DROP_LINES = text("""
DELETE FROM ponctuel.message_lines l
 USING jsonb_to_recordset(CAST(:dropped AS jsonb)) AS x(message_id bigint, subject text)
 WHERE l.message_id = x.message_id AND l.subject = x.subject
""")


def still_wanted(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    """For each relance: the letter as it must now be written, or why it must not leave.

    A letter loses the lines that are no longer due, and those documents are free to be relanced
    later; it is cancelled when none is left.
    """
    calendar = calendar_at(connection, now)
    rows = connection.execute(
        text(queries.REREAD),
        {"wanted": json.dumps([w for m in messages for w in _wanted(m)]), "force": False}
        | dict(calendar.parameters),
    ).mappings()
    read: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        read.setdefault(row["message_id"], []).append(dict(row))
    departments = subdivisions(calendar)
    verdicts: dict[int, Verdict] = {}
    dropped = []
    for message in messages:
        lines = read.get(message.id, [])
        kept = [line for line in lines if line["reason"] is None]
        verdicts[message.id] = _verdict(
            message, kept, lines, now, departments.get(message.business_id)
        )
        if message.lines and kept:
            dropped += [
                {"message_id": message.id, "subject": line["wanted_subject"]}
                for line in lines
                if line["reason"] is not None
            ]
    if dropped:
        connection.execute(_DROP_LINES, {"dropped": json.dumps(dropped)})
    return verdicts


def _wanted(message: Claimed) -> list[dict[str, object]]:
    own = {
        "kind": message.kind,
        "subject": message.subject,
        "cycle": message.cycle,
        "step": message.step,
    }
    return [
        {
            "message_id": message.id,
            "business_id": message.business_id,
            "person": message.person,
            "channel": message.channel,
            **line,
        }
        for line in (message.lines or [own])
    ]


def _verdict(
    message: Claimed,
    kept: Sequence[Mapping[str, Any]],
    lines: Sequence[Mapping[str, Any]],
    now: datetime,
    subdivision: str | None,
) -> Verdict:
    if not kept:
        return Cancel(lines[0]["reason"] if lines else "deleted")
    opens_at = kept[0]["opens_at"]
    if opens_at > now:
        return Hold("window", opens_at)
    return compose(message, kept, subdivision)


def _kind(
    name: str,
    title: str,
    template: str,
    *,
    whatsapp: str | None = None,
    unsubscribable: bool = False,
) -> Kind:
    return Kind(
        name=name,
        title=title,
        template=template,
        guard=still_wanted,
        late_after=queries.LATE_AFTER,
        whatsapp=whatsapp,
        unsubscribable=unsubscribable,
    )


register(
    _kind(queries.INVOICE, "Relance de facture", "invoice_followup", whatsapp="invoice_followup"),
    _kind(queries.LETTER, "Relance groupée de factures", "invoice_followup"),
    # Nobody owes an answer to a quote.
    _kind(
        queries.QUOTE,
        "Relance de devis",
        "quote_followup",
        whatsapp="quote_followup",
        unsubscribable=True,
    ),
)
