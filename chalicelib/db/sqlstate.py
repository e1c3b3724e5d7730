"""What a database error is, by its SQLSTATE: pg8000's exception classes tell almost nothing."""

from __future__ import annotations

from collections.abc import Mapping

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
# Two transactions in one another's way: one of them is undone, and may simply be tried again.
CONFLICTS = {"40001", "40P01"}
OUTDATED = {"3F000", "42P01", "42703", "42883"}


def sqlstate(error: BaseException) -> str | None:
    """The five-character code of a PostgreSQL error, or None when the server gave none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if original is None:
        return None
    fields = _fields(original)
    return _text(fields or _parting_fields(original), "C")


def _fields(error: BaseException) -> Mapping[str, object]:
    """What the server said, by the field types of the protocol's ErrorResponse."""
    said = error.args[0] if error.args else None
    return said if isinstance(said, dict) else {}


def _parting_fields(error: BaseException) -> Mapping[str, object]:
    """The server's last words, when saying goodbye to it failed and hid them: pg8000 closes a
    connection that was refused, which a server that has hung up already makes fail. Only what ended
    the connection counts: other errors in the chain were dealt with before."""
    context = error.__context__
    while context is not None:
        fields = _fields(context)
        if (_text(fields, "V") or _text(fields, "S")) in ("FATAL", "PANIC"):
            return fields
        context = context.__context__
    return {}


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


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
            "Le schéma de la base n'est pas celui de ce code : lancez `./ponctuel migrate` ; si "
            "vos tables sont des vues, `./ponctuel check` dit laquelle corriger."
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
