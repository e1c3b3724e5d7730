"""The link of a message: one click in the mail program (RFC 8058), or the page behind it.

GET changes nothing, because scanners follow every link of a message. The token is all that it
takes: no cookie, no secret, no account, and it has no end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import logs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.errors import BadRequest, NotConfigured, SettingsError
from chalicelib.routes import forms, pages
from chalicelib.routes.answers import Answer
from chalicelib.routes.call import Call
from chalicelib.routes.door import TEXT, Route

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from chalicelib.outbox.preferences import Choice, Preferences, Reader
    from chalicelib.outbox.unsubscribe import Subscription

ONE_CLICK = ("List-Unsubscribe", "One-Click")
UNAVAILABLE = (
    "La désinscription par ce lien n'est pas possible pour le moment. Répondez au message que vous "
    "avez reçu en demandant à ne plus en recevoir."
)


@pages.answering(UNAVAILABLE)
def show_preferences(call: Call) -> Answer:
    from chalicelib.outbox import preferences

    subscription = _subscription(call)
    with snapshot(call.engine) as connection:
        who = preferences.reader(connection, subscription)
        found = preferences.preferences(connection, who)
    return _page(who, found)


@pages.answering(UNAVAILABLE)
def change_preferences(call: Call) -> Answer:
    from chalicelib.outbox import preferences

    subscription = _subscription(call)
    name, value = ONE_CLICK
    given = {key.lower(): text for key, text in forms.fields(call).items()}
    one_click = given.get(name.lower(), "").lower() == value.lower()
    with transaction(call.engine) as connection:
        who = preferences.reader(connection, subscription)
        if one_click:
            preferences.stop(connection, who, [subscription.category])
        else:
            notice = _apply(connection, who, given.get("choice", ""))
            found = preferences.preferences(connection, who)
    logs.info("preferences_changed", message=subscription.message_id, one_click=one_click)
    if one_click:
        return Answer("Désinscription enregistrée.\n", 200, {"Content-Type": TEXT})
    return _page(who, found, notice)


def _subscription(call: Call) -> Subscription:
    """Raises `NotConfigured` and `BadRequest`, before the database is asked anything."""
    from chalicelib.outbox import unsubscribe

    try:
        secrets = (call.settings.unsubscribe_secret, call.settings.unsubscribe_secret_previous)
        stage = call.settings.stage
    except SettingsError as error:
        raise NotConfigured(str(error)) from error
    return unsubscribe.read(call.parameters["token"], stage=stage, secrets=secrets)


def _apply(connection: Connection, who: Reader, wanted: str) -> str:
    """Does what the button says, and returns the sentence that tells so. Only what the page offers
    is done."""
    from chalicelib.outbox import preferences

    if wanted == "stop_all":
        preferences.stop_all(connection, who)
        return "C'est noté. Vous ne recevrez plus que les messages nécessaires."
    action, _, category = wanted.partition(":")
    choice = next(
        (c for c in preferences.preferences(connection, who) if c.category == category), None
    )
    if choice is None or action not in ("stop", "resume"):
        raise BadRequest("Ce choix n'existe pas. Ouvrez de nouveau le lien du message.")
    if action == "stop":
        preferences.stop(connection, who, [category])
        return "C'est noté. Vous ne recevrez plus ces messages."
    if choice.stopped and not choice.can_resume:
        raise BadRequest("Ce choix ne peut pas être changé ici. Écrivez à l'entreprise.")
    preferences.resume(connection, who, category)
    return "C'est noté. Vous recevrez de nouveau ces messages."


def _page(who: Reader, found: Preferences, notice: str = "") -> Answer:
    from chalicelib.outbox.formats import typographie

    content = {
        "business": who.business,
        "own": _shown(found.own),
        "others": [_shown(choice) for choice in found.others],
        "all_stopped": found.all_stopped,
        "notice": typographie(notice),
    }
    return pages.page("unsubscribe", content)


def _shown(choice: Choice) -> dict[str, object]:
    from chalicelib.outbox.formats import typographie

    return {
        "category": choice.category,
        "title": typographie(choice.title),
        "stopped": choice.stopped,
        "can_resume": choice.can_resume,
    }


_ERRORS = {
    400: "The link is altered or another stage's, or the choice does not exist.",
    404: "Nobody is left to whom the link could belong.",
    500: "The database cannot be used: try again.",
    503: "No UNSUBSCRIBE_SECRET is configured.",
}
ROUTES = (
    Route(
        "/unsubscribe/{token}",
        ("GET",),
        show_preferences,
        summary="The page of an unsubscribe link; it changes nothing.",
        access="open",
        media="text/html",
        responses={200: "What the reader gets from this business, and what they may refuse."}
        | _ERRORS,
    ),
    Route(
        "/unsubscribe/{token}",
        ("POST",),
        change_preferences,
        summary="One-click unsubscription (RFC 8058), or a choice made on the page.",
        access="open",
        media="text/html",
        body={
            "List-Unsubscribe": {
                "type": "string",
                "description": "One-Click: no more of what the link is about.",
            },
            "choice": {
                "type": "string",
                "description": "stop:CATEGORY, resume:CATEGORY or stop_all, as the page has them.",
            },
        },
        responses={200: "Done; the same again changes nothing."} | _ERRORS,
    ),
)
