"""Upgrades the schema. A Lambda, so that a database in a private network can be upgraded.

Not a job: it has no schedule and no run. Payload: `{}` or `{"branches": ["ledger"]}`.
Code that is older than the schema raises (`schema_newer`) and changes nothing.
"""

from __future__ import annotations

from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib import logs

bp = Blueprint(__name__)


@bp.lambda_function(name="migrate")
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    from chalicelib.db.migrate import BRANCHES, migrate
    from chalicelib.errors import BadRequest
    from chalicelib.runner.invocation import engine_from
    from chalicelib.settings import settings

    branches = event.get("branches") or BRANCHES
    if not (isinstance(branches, list | tuple) and all(name in BRANCHES for name in branches)):
        raise BadRequest(f"Branches inconnues ; il y a : {', '.join(BRANCHES)}.")
    engine = engine_from(settings(), "migrate")
    try:
        revisions = migrate(engine, branches)
    finally:
        engine.dispose()
    logs.info("migrated", revisions=revisions)
    return {"success": True, "revisions": revisions}
