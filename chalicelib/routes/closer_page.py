"""What a closer's page says, from what the domain knows of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from chalicelib.routes.answers import Row

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from chalicelib.domain.leads.closer_day import Done
    from chalicelib.domain.leads.closer_link import Reader
    from chalicelib.domain.leads.proposals import Proposal

# wa.me leads on to api.whatsapp.com, or to whichever of theirs one day; Chromium asks the policy
# about each step of a form's redirects.
WHATSAPP: Final = ("https://wa.me", "https://*.whatsapp.com")
RESULT: Final = "resultat"  # where the page tells what has become of a tap
PER_PAGE: Final = 20
# A preview; a template keeps 200 characters of one string (`outbox.content`).
_BEGINNING: Final = 160
_LONGEST_PART: Final = 180


def content(
    connection: Connection,
    reader: Reader,
    ends_at: datetime,
    *,
    page: int,
    acted_on: int | None,
    undone: bool = False,
) -> Row:
    """What `templates/pages/closer.html` takes. `page` from 1, the last one for a number beyond;
    `acted_on`: the follow-up that a tap was about, `undone`: that the tap was to take it back."""
    from chalicelib.domain.leads import closer_day, proposals

    whose = (reader.business_id, reader.user_id, reader.clock)
    due = proposals.due_of(connection, *whose, page=page, per_page=PER_PAGE)
    withdrawn = proposals.withdrawn_of(connection, *whose)
    last_of = closer_day.last_numbers(connection, reader.business_id)
    pages = max(1, -(-due.total // PER_PAGE))
    return {
        "business": reader.business,
        "reader": reader.name,
        "notice": None if acted_on is None else _notice(connection, reader, acted_on, undone),
        "count": due.total,
        "page": min(page, pages),
        "pages": pages,
        "leads": [_lead(found, last_of(found.stage), reader.zone) for found in due.proposals],
        "reasons": _reasons(),
        "withdrawn": [_withdrawn(found) for found in withdrawn[:PER_PAGE]],
        "done": [
            _done(found, reader, acted_on) for found in closer_day.done_today(connection, reader)
        ],
        "ends_at": ends_at,
        "zone": reader.zone.key,
    }


def _lead(found: Proposal, last: int, zone: ZoneInfo) -> Row:
    from chalicelib.outbox import formats

    opened = found.state == "opened" and found.opened_at is not None
    return {
        "id": str(found.id),
        "name": _named(found.name),
        "stage": found.stage,
        "number": found.number,
        "last": last if last >= found.number else None,
        "due_at": found.due_at,
        "phone": formats.telephone(found.phone),
        "dialled": found.phone if found.phone.startswith("+") else None,
        "beginning": found.text,
        "text": list(_paragraphs(found.text)) if _is_long(found.text) else None,
        "opened": _clock(found.opened_at, zone) if opened and found.opened_at else None,
        "can_open": found.link is not None,
    }


def _withdrawn(found: Proposal) -> Row:
    why = _ended(found)
    return {
        "id": str(found.id),
        "name": _named(found.name),
        "why": why[:1].upper() + why[1:],
    }


def _ended(found: Proposal) -> str:
    """Why it may not be sent any more."""
    from chalicelib.domain.leads.reasons import ENDED
    from chalicelib.outbox.formats import typographie

    return typographie(ENDED.get(found.reason or "expired", ""))


def _done(found: Done, reader: Reader, acted_on: int | None) -> Row:
    from chalicelib.domain.leads.reasons import SKIPPED
    from chalicelib.outbox.formats import typographie

    why = typographie(SKIPPED.get(found.reason or "", ""))
    return {
        "name": _named(found.name),
        "at": _clock(found.settled_at, reader.zone),
        # Of the one that the notice is about, it is there.
        "undo": str(found.id)
        if found.state == "confirmed" and found.id != acted_on and _is_recent(found, reader)
        else None,
        "what": "envoyée" if found.state == "confirmed" else "passée",
        "why": why if found.state == "skipped" else None,
    }


def _is_recent(found: Done | Proposal, reader: Reader) -> bool:
    """Whether a confirmation may still be taken back, as far as time goes."""
    from chalicelib.domain.leads.undo import UNDONE_WITHIN

    return found.settled_at is not None and found.settled_at > reader.clock - UNDONE_WITHIN


def _notice(connection: Connection, reader: Reader, number: int, undone: bool) -> Row | None:
    """What has become of a follow-up: as it is now, whatever the address says."""
    from chalicelib.domain.leads import proposals
    from chalicelib.domain.leads.reasons import SKIPPED
    from chalicelib.outbox.formats import typographie

    found = proposals.find(connection, reader.business_id, reader.user_id, number)
    if found is None:
        return {"text": typographie("Cette relance n'est pas ou plus dans votre liste."),
                "alert": True}  # fmt: skip
    if found.state == "confirmed":
        if undone:
            text = "trop tard pour l'annuler : la relance reste notée comme envoyée."
            return {"name": _named(found.name), "text": typographie(text), "alert": True}
        undo = str(number) if _is_recent(found, reader) else None
        return {"name": _named(found.name), "text": "relance notée comme envoyée.",
                "alert": False, "undo": undo}  # fmt: skip
    if found.state == "skipped":
        why = SKIPPED.get(found.reason or "", "")
        text = typographie(f"relance passée{f' ({why})' if why else ''}.")
        return {"name": _named(found.name), "text": text, "alert": False}
    if found.link is not None:
        text = "relance remise dans la liste, elle ne compte plus comme envoyée."
        return {"name": _named(found.name), "text": text, "alert": False} if undone else None
    why = _ended(found)
    text = f"cette relance ne doit plus partir{f' ({why})' if why else ''}."
    return {"name": _named(found.name), "text": text, "alert": True}


def _reasons() -> list[Row]:
    from chalicelib.domain.leads.reasons import SKIPPED
    from chalicelib.outbox.formats import typographie

    return [
        {"code": code, "words": typographie(words[0].upper() + words[1:])}
        for code, words in SKIPPED.items()
    ]


def _named(name: str) -> str:
    from chalicelib.outbox.content import clean

    return clean(name) or "Lead sans nom"


def _is_long(text: str) -> bool:
    return len(text) > _BEGINNING or "\n" in text.strip()


def _paragraphs(text: str) -> Iterator[Sequence[str]]:
    """Each line in parts that a template keeps whole."""
    from chalicelib.outbox.content import clean

    for line in text.splitlines():
        visible = clean(line)
        if visible:
            yield textwrap.wrap(visible, _LONGEST_PART, break_on_hyphens=False)


def _clock(instant: datetime, zone: ZoneInfo) -> str:
    from chalicelib.outbox.formats import NO_BREAK

    local = instant.astimezone(zone)
    return f"{local.hour}{NO_BREAK}h{NO_BREAK}{local.minute:02}"
