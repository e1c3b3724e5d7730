"""Whether the deployment answers; with `?deep=1` and the secret, whether its database does too."""

from __future__ import annotations

from chalicelib import __version__
from chalicelib.errors import SchemaOutdated
from chalicelib.routes.answers import Answer, timestamp
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route


def health(call: Call) -> Answer:
    body = {
        "success": True,
        "status": "ok",
        "stage": call.settings.stage,
        "version": __version__,
        "timestamp": timestamp(),
    }
    if call.flag("deep"):
        call.authorize(allow_query=False)
        body["schema"] = _schema(call)
    return Answer(body)


def _schema(call: Call) -> list[str]:
    """The database's revisions. Raises `DatabaseUnavailable` and `SchemaOutdated`."""
    from chalicelib.db.engine import transaction
    from chalicelib.db.migrate import REQUIRED_LEDGER, revisions

    with transaction(call.engine) as connection:
        found = revisions(connection)
    if not any(name.startswith("ledger") and name >= REQUIRED_LEDGER for name in found):
        raise SchemaOutdated(
            "Le schéma de la base est plus ancien que ce code : lancez `./ponctuel migrate`."
        )
    return found


ROUTES = (
    Route(
        "/health",
        ("GET", "HEAD"),
        health,
        summary="Answers while the deployment is up.",
        access="open",
        query={"deep": "1, with the secret: check the database and its schema too."},
        responses={200: "Up.", 500: "With `deep`: the database cannot be used."},
    ),
)
