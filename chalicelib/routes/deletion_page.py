"""The link of a letter about the deletion of an account: the page on which somebody keeps it.

GET changes nothing, because scanners follow every link of a letter. The token is all that it takes,
and holds nothing about anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import logs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.errors import Conflict, NotConfigured, SettingsError
from chalicelib.routes import pages
from chalicelib.routes.answers import Answer
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from chalicelib.domain.accounts.links import Link

UNAVAILABLE = (
    "Ce lien ne peut pas être utilisé pour le moment. Pour garder votre compte, annulez sa "
    "suppression dans votre logiciel, ou demandez-le à la personne qui le gère."
)


@pages.answering(UNAVAILABLE)
def show_cancellation(call: Call) -> Answer:
    link = _link(call)
    with snapshot(call.engine) as connection:
        return _page(connection, link)


@pages.answering(UNAVAILABLE)
def keep_account(call: Call) -> Answer:
    from chalicelib.domain.accounts import links, reading, requesting

    link = _link(call)
    with transaction(call.engine) as connection:
        before, _, clock = reading.for_page(connection, link.deletion)
        links.require_good(link, clock)
        try:
            requesting.cancel(connection, link.deletion, by="link")
        except Conflict:  # the page says that it is too late
            logs.info("account_deletion_too_late", deletion=link.deletion)
        return _page(connection, link, kept=before["state"] != "cancelled")


def _link(call: Call) -> Link:
    """Raises `BadRequest` and `NotConfigured`, before the database is asked anything."""
    from chalicelib.domain.accounts import links

    try:
        return links.read(call.parameters["token"], call.settings)
    except SettingsError as error:
        raise NotConfigured(str(error)) from error


def _page(connection: Connection, link: Link, *, kept: bool = False) -> Answer:
    """What the link is about, as it is now. Raises `NotFound`, also for a link that has ended."""
    from chalicelib.domain.accounts import links, reading

    found, business, clock = reading.for_page(connection, link.deletion)
    links.require_good(link, clock)
    open_still = found["state"] in ("scheduled", "blocked")
    content = {
        "business": business,
        "state": "open" if open_still else found["state"],
        "blocked": found["state"] == "blocked",
        "kept": kept,
        "passed": found["scheduled_at"] <= clock,
        "days": found["remaining_days"],
        "date": found["scheduled_at"].isoformat(),
        "since": found["locked_at"].isoformat() if found["locked_at"] else None,
        "zone": found["zone"],
    }
    return pages.page("deletion", content)


_ERRORS = {
    400: "The link is altered, or another stage's.",
    404: "The link has ended.",
    500: "The database cannot be used: try again.",
    503: "No LINK_SECRET is configured.",
}
ROUTES = (
    Route(
        "/deletion/{token}",
        ("GET",),
        show_cancellation,
        summary="The page on which somebody keeps their account; it changes nothing.",
        access="open",
        media="text/html",
        responses={200: "The days that remain and a button, or what has become of it."} | _ERRORS,
    ),
    Route(
        "/deletion/{token}",
        ("POST",),
        keep_account,
        summary="Cancels the deletion of an account, until it is locked.",
        access="open",
        media="text/html",
        responses={200: "Cancelled, now or before, or too late: the page says which."} | _ERRORS,
    ),
)
