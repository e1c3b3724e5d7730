"""What a relance says: the content of its texts, from the rows that the guard has just read.

A WhatsApp message is about one document and carries no file: its reader has the document, or asks
for it by answering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from chalicelib.domain.billing.legal import late_payment, pay_by
from chalicelib.outbox.kinds import Claimed, Send

TONES = ("rappel", "ferme", "mise_en_demeure")


def compose(
    message: Claimed, rows: Sequence[Mapping[str, Any]], subdivision: str | None = None
) -> Send:
    """The message for these documents of one customer (rows of `queries.REREAD`, one at least).
    `subdivision`: the department of the business, for its public holidays."""
    first = rows[0]
    today: date = first["today"]
    on_whatsapp = message.channel == "whatsapp"
    attachments = {} if on_whatsapp else _attachments(rows)
    content: dict[str, Any] = {
        "business": {
            "name": first["sender_name"] or first["business_name"],
            "phone": first["phone"],
            "address": first["address"],
            "siret": first["siret"],
            "iban": first["iban"],
            "reply_to": first["reply_to"],
        },
        "customer": {"name": first["customer_name"]},
        "tone": max((row["wanted_tone"] or TONES[0] for row in rows), key=TONES.index),
        "level": _level(message, rows),
        "today": today.isoformat(),
        "attached": bool(attachments),
    }
    if first["document"] == "quote":
        content["documents"] = [_quote(row, today) for row in rows]
    else:
        content |= {
            "before_due": all(_days_late(row, today) == 0 for row in rows),
            "documents": [_invoice(row, today) for row in rows],
            "totals": _totals(rows),
            "legal": late_payment(first["customer_type"], today, first["late_penalty_rate"]),
        }
        if content["tone"] == "mise_en_demeure":
            content["pay_by"] = pay_by(today, subdivision).isoformat()
    return Send(
        content=content,
        recipients=(first["customer_phone"] if on_whatsapp else first["emails"]) or "",
        sender_email=first["sender_email"],
        sender_name=first["sender_name"] or first["business_name"],
        reply_to=first["reply_to"],
        attachments=attachments,
        variant=_variant(first["document"], content) if on_whatsapp else "",
        user_id=first["customer_user_id"] if on_whatsapp else None,
        business_zone=first["zone"],
        subdivision=subdivision,
    )


def _variant(document: str, content: Mapping[str, Any]) -> str:
    """The WhatsApp text of a tone. Before the due date nothing is claimed, and nobody owes an
    answer to a quote."""
    tone: str = content["tone"]
    if document == "quote":
        return "ferme" if tone == "mise_en_demeure" else tone
    return "rappel" if content["before_due"] else tone


def _attachments(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """File name → key in storage; the second document under one name goes by its number."""
    attachments: dict[str, str] = {}
    for row in rows:
        if row["wanted_pdf"]:
            key = row["pdf_key"] or f"{row['business_id']}/{row['number']}.pdf"
            name = PurePosixPath(key).name
            attachments[f"{row['number']}.pdf" if name in attachments else name] = key
    return attachments


def _level(message: Claimed, rows: Sequence[Mapping[str, Any]]) -> int:
    """The highest level of the letter; 1 when nothing has gone out before, whatever was skipped."""
    if all(row["last_level"] is None for row in rows):
        return 1
    return max(int(line["step"]) for line in message.lines or [{"step": message.step}])


def _invoice(row: Mapping[str, Any], today: date) -> dict[str, Any]:
    return {
        "number": row["number"],
        "issued_on": _iso(row["issued_on"]),
        "due_on": _iso(row["due_on"]),
        "total": str(row["total"]),
        "remaining": str(row["remaining"]),
        "currency": row["currency"],
        "days_late": _days_late(row, today),
        "partly_paid": row["remaining"] < row["total"],
    }


def _quote(row: Mapping[str, Any], today: date) -> dict[str, Any]:
    until = row["due_on"]
    return {
        "number": row["number"],
        "issued_on": _iso(row["issued_on"]),
        "valid_until": _iso(until),
        "total": str(row["total"]),
        "currency": row["currency"],
        "days_left": None if until is None else (until - today).days,
    }


def _days_late(row: Mapping[str, Any], today: date) -> int:
    return 0 if row["due_on"] is None else max(0, (today - row["due_on"]).days)


def _totals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What remains due per currency: two currencies are never added up."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row["currency"]] = totals.get(row["currency"], Decimal(0)) + row["remaining"]
    return [{"currency": currency, "amount": str(amount)} for currency, amount in totals.items()]


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
