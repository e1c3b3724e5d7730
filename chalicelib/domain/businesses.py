"""The businesses of a deployment, to those who name one."""

from __future__ import annotations

from sqlalchemy import Connection, text

from chalicelib.errors import NotFound

_ONE = text("SELECT 1 FROM ponctuel.businesses WHERE id = :id")


def require(connection: Connection, business_id: str) -> None:
    """Raises `NotFound` when there is no such business."""
    if connection.execute(_ONE, {"id": business_id}).first() is None:
        raise NotFound(f"L'entreprise « {business_id} » n'existe pas.")
