"""What a database error is, by its SQLSTATE: pg8000's exception classes tell almost nothing."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chalicelib.errors import DatabaseUnavailable, PonctuelError, SchemaOutdated

UNAVAILABLE = {
    "53300": "elle n'accepte plus de connexion",
    "57P01": "elle s'arrête ou redémarre",
    "57P02": "elle s'arrête ou redémarre",
    "57P03": "elle démarre",
    "25006": "elle est en lecture seule",
    "28000": "elle refuse l'identification",
    "28P01": "elle refuse le mot de passe",
    "3D000": "ce nom de base n'existe pas",
    "53100": "son disque est plein",
    "55P03": "une autre connexion garde verrouillé ce dont Ponctuel a besoin",
}
OUTDATED = {"3F000", "42P01", "42703", "42883"}


def sqlstate(error: BaseException) -> str | None:
    """The five-character code of a PostgreSQL error, or None when the server gave none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if original is not None and original.args and isinstance(original.args[0], dict):
        code = original.args[0].get("C")
        return code if isinstance(code, str) else None
    return None


def database_error(error: BaseException) -> PonctuelError | None:
    """The error to show a person, or None when the statement itself is at fault."""
    code = sqlstate(error)
    if code in UNAVAILABLE or (code or "").startswith("08"):
        why = UNAVAILABLE.get(code or "", "la connexion est rompue")
        return DatabaseUnavailable(
            f"La base de données ne peut pas être utilisée : {why}. "
            "Vérifiez DATABASE_URL et l'état du serveur, puis relancez."
        )
    if code in OUTDATED:
        return SchemaOutdated(
            "Le schéma de la base est plus ancien que ce code : lancez `./ponctuel migrate`."
        )
    if code is None and _is_connection_loss(error):
        return DatabaseUnavailable(
            "La base de données ne répond pas (connexion impossible ou rompue). "
            "Vérifiez DATABASE_URL et l'état du serveur, puis relancez."
        )
    return None


def _is_connection_loss(error: BaseException) -> bool:
    if isinstance(error, OSError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or type(error.orig).__name__ == "InterfaceError"
    )
