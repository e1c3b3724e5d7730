"""The page of a closer's link: the leads to follow up, one tap to WhatsApp, one tap to say so.

GET changes nothing, because scanners follow every link of a message. Each tap is a form's POST that
is answered 303: it works without a script, reloading or going back repeats nothing, and whether the
follow-up may still be sent is asked at the moment of the tap. Telephones hand such a redirect to
wa.me over to WhatsApp; elsewhere it opens WhatsApp's own page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from chalicelib import logs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.errors import BadRequest, NotConfigured, SettingsError
from chalicelib.routes import closer_page, forms, pages, refusals
from chalicelib.routes.answers import Answer
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from chalicelib.domain.leads.closer_link import Link, Reader
    from chalicelib.domain.leads.proposals import Proposal

UNAVAILABLE = "Cette page n'est pas disponible pour le moment. Voyez avec votre responsable."
UNKNOWN = "Ce choix n'existe pas. Ouvrez de nouveau le lien de l'e-mail."
_ID = re.compile(r"[1-9][0-9]{0,17}")  # as a bigint column holds it
_PAGE = re.compile(r"[1-9][0-9]{0,3}")


@pages.answering(UNAVAILABLE)
def show_leads(call: Call) -> Answer:
    from chalicelib.domain.leads import closer_link

    link = _link(call)
    with snapshot(call.engine) as connection:
        reader = closer_link.reader(connection, link)
        content = closer_page.content(
            connection,
            reader,
            link.ends_at,
            page=_page(call),
            acted_on=_id(call.query("id")),
            undone=call.query("was") == "undo",
        )
    return pages.page("closer", content, leads_to=closer_page.WHATSAPP)


@pages.answering(UNAVAILABLE)
def act_on_lead(call: Call) -> Answer:
    from chalicelib.domain.leads import closer_link

    link = _link(call)
    given = forms.fields(call)
    act, _, reason = given.get("act", "").partition(":")
    number = _id(given.get("id", ""))
    if number is None:
        raise BadRequest(UNKNOWN)
    with transaction(call.engine) as connection:
        reader = closer_link.reader(connection, link)
        found = _act(connection, reader, number, act, reason)
    logs.info(
        "closer_acted",
        business=reader.business_id,
        user=reader.user_id,
        followup=number,
        act=act,
        changed=found is not None and found.changed,
    )
    if act == "open" and found is not None and found.link is not None:
        return _to(found.link)
    # The list again, at what has become of this one; relative, so that any address does.
    where = {"page": str(_page(call)), "id": str(number)}
    if act == "undo":
        where["was"] = act
    return _to(f"?{urlencode(where)}#{closer_page.RESULT}")


def _act(
    connection: Connection, reader: Reader, number: int, act: str, reason: str
) -> Proposal | None:
    from chalicelib.domain.leads import proposals, undo
    from chalicelib.domain.leads.reasons import SKIPPED

    whose = (connection, reader.business_id, reader.user_id, number)
    if act == "open":
        return proposals.open_(*whose)
    if act == "sent":
        return proposals.confirm(*whose)
    if act == "undo":
        return undo.undo(*whose)
    if act == "skip" and reason in SKIPPED:
        return proposals.skip(*whose, reason)
    raise BadRequest(UNKNOWN)


def _link(call: Call) -> Link:
    """Raises `NotConfigured` and `BadRequest`; who tries tokens is made to wait."""
    from chalicelib.domain.leads import closer_link

    try:
        return closer_link.read(call.parameters["token"], call.settings)
    except BadRequest as error:
        refusals.slow_down(call, error)
        raise
    except SettingsError as error:
        raise NotConfigured(str(error)) from error


def _id(given: str) -> int | None:
    return int(given) if _ID.fullmatch(given) else None


def _page(call: Call) -> int:
    given = call.query("page")
    return int(given) if _PAGE.fullmatch(given) else 1


def _to(address: str) -> Answer:
    return Answer("Suite\n", 303, {"Location": address})


_ERRORS = {
    400: "The link is altered or another stage's, or the choice does not exist.",
    404: "The link has ended or was taken back, or its user is no longer active.",
    500: "The database cannot be used: try again.",
    503: "No LINK_SECRET is configured.",
}
ROUTES = (
    Route(
        "/closer/{token}",
        ("GET",),
        show_leads,
        summary="A closer's page: the leads to follow up; it changes nothing.",
        access="open",
        media="text/html",
        query={
            "page": "Which page of a long list, from 1.",
            "id": "The follow-up whose outcome is told.",
            "was": "`undo`: the tap was to take it back.",
        },
        responses={200: "The follow-ups to send, the oldest first, and what was done today."}
        | _ERRORS,
    ),
    Route(
        "/closer/{token}",
        ("POST",),
        act_on_lead,
        summary="Opens a follow-up in WhatsApp, says that it was sent or is skipped, or takes that "
        "it was sent back.",
        access="open",
        media="text/html",
        body={
            "id": {"type": "string", "description": "The follow-up."},
            "act": {
                "type": "string",
                "description": "`open`, `sent`, `undo` (of `sent`, for ten minutes), or "
                "`skip:REASON` (`replied`, `opted_out`, `wrong_number`, `not_now`, "
                "`other`). Doing it again changes nothing.",
            },
        },
        responses={
            303: "To WhatsApp (`open`), else to the page, which tells what has become of it.",
        }
        | _ERRORS,
    ),
)
