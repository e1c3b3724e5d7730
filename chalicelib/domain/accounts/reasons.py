"""Reasons that an auditor reads, and that outlive whom they are about."""

from __future__ import annotations

from typing import Final

from chalicelib.errors import BadRequest

LONGEST: Final = 200


def lasting(reason: str) -> str:
    """The reason on one line. Raises `BadRequest` for none, a long one, and one with an address."""
    given = " ".join(reason.split())
    if not given:
        raise BadRequest("Donnez la raison : un collègue et un auditeur la liront.")
    if "@" in given:
        raise BadRequest(
            "La raison reste après l'effacement du compte : donnez un numéro de dossier, pas une "
            "adresse."
        )
    if len(given) > LONGEST:
        raise BadRequest(f"La raison dépasse {LONGEST} caractères : donnez le numéro du dossier.")
    return given
