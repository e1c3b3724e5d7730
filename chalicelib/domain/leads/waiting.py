"""What waits for a closer now, over all businesses: for the program that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from chalicelib.domain.leads.standing import OVER
from chalicelib.errors import BadRequest
from chalicelib.outbox.numbers import click_to_chat

# More links than that are nobody's to open from one answer.
LISTED = 500

_CHECKED = text("""
SELECT count(*) FROM ponctuel.leads l
  JOIN ponctuel.lead_settings s ON s.business_id = l.business_id AND s.followups_enabled
  JOIN ponctuel.businesses b ON b.id = l.business_id AND b.active
 WHERE l.status = 'open'
""")
_WAITING = text(f"""
SELECT f.business_id, f.lead_id, l.name, f.phone, f.content, f.number, count(*) OVER () AS total
  FROM ponctuel.lead_followups f
  JOIN ponctuel.leads l ON l.business_id = f.business_id AND l.id = f.lead_id
 WHERE f.state IN ('proposed','opened') AND f.expires_at > ponctuel.clock() AND {OVER} IS NULL
 ORDER BY f.due_at, f.id LIMIT :limit
""")


@dataclass(frozen=True)
class Waiting:
    """A proposal; `link` opens WhatsApp on its text, None where it has no usable one."""

    business_id: str
    lead_id: str
    name: str = field(repr=False)
    phone: str = field(repr=False)
    link: str | None = field(repr=False)
    number: int


def waiting(connection: Connection) -> tuple[int, int, list[Waiting]]:
    """How many open leads are looked at, how many proposals wait, and the `LISTED` oldest."""
    checked: int = connection.execute(_CHECKED).scalar_one()
    rows = connection.execute(_WAITING, {"limit": LISTED}).mappings().all()
    found = [
        Waiting(
            business_id=row["business_id"],
            lead_id=row["lead_id"],
            name=row["name"],
            phone=row["phone"] or "",
            link=link_of(row["phone"], row["content"]),
            number=row["number"],
        )
        for row in rows
    ]
    return checked, rows[0]["total"] if rows else 0, found


def link_of(phone: str | None, written: str) -> str | None:
    """None where WhatsApp takes no such number or text: one proposal must not hide the others."""
    try:
        return click_to_chat(phone or "", written)
    except BadRequest:
        return None
