"""Which approved template a text goes by, and which number each business writes from.

A provider knows a template by a name of its own; a business `*` has those of the businesses that
have none of their own. A number is one business's at a time, because what is answered to it is that
business's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox import kinds, whatsapp_texts

EVERYBODY: Final = "*"
PROVIDERS: Final = ("twilio", "meta")

# What a provider calls a template and a sender: its form, and how to say it.
_TEMPLATE: Final[Mapping[str, tuple[str, str]]] = {
    "twilio": (r"HX[0-9a-fA-F]{32}", "un Content SID, HX et 32 chiffres ou lettres"),
    "meta": (r"[a-z0-9_]{1,512}", "un nom en minuscules, chiffres et _"),
}
_SENDER: Final[Mapping[str, tuple[str, str]]] = {
    "twilio": (
        r"\+[1-9][0-9]{6,14}|MG[0-9a-fA-F]{32}",
        "un numéro (+33612345678) ou un service de messagerie (MG…)",
    ),
    "meta": (r"[0-9]{5,20}", "un identifiant de numéro (phone number ID), en chiffres"),
}
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")

_SET_TEMPLATE = text("""
INSERT INTO ponctuel.whatsapp_templates
       (business_id, provider, kind, variant, name, language, set_at, set_by)
VALUES (:business_id, :provider, :kind, :variant, :name, :language, ponctuel.clock(), :by)
    ON CONFLICT (business_id, provider, kind, variant) DO UPDATE
   SET name = excluded.name, language = excluded.language, set_at = excluded.set_at,
       set_by = excluded.set_by
""")
_TEMPLATES = text("""
SELECT business_id, provider, kind, variant, name, language, set_at, set_by
  FROM ponctuel.whatsapp_templates ORDER BY provider, kind, variant, business_id
""")
_DROP_TEMPLATE = text("""
DELETE FROM ponctuel.whatsapp_templates
 WHERE business_id = :business_id AND provider = :provider AND kind = :kind AND variant = :variant
""")
_OWNER = text("""
SELECT business_id FROM ponctuel.whatsapp_senders WHERE provider = :provider AND sender = :sender
""")
_BUSINESS = text("SELECT 1 FROM ponctuel.businesses WHERE id = :business_id LIMIT 1")
_SET_SENDER = text("""
INSERT INTO ponctuel.whatsapp_senders (provider, sender, business_id, set_at, set_by)
VALUES (:provider, :sender, :business_id, ponctuel.clock(), :by)
    ON CONFLICT (provider, business_id) DO UPDATE
   SET sender = excluded.sender, set_at = excluded.set_at, set_by = excluded.set_by
""")
_SENDERS = text("""
SELECT provider, sender, business_id, set_at, set_by FROM ponctuel.whatsapp_senders
 ORDER BY provider, business_id
""")
_DROP_SENDER = text("""
DELETE FROM ponctuel.whatsapp_senders WHERE provider = :provider AND business_id = :business_id
""")


def set_template(
    connection: Connection,
    *,
    provider: str,
    kind: str,
    variant: str,
    name: str,
    language: str = "fr",
    business_id: str = EVERYBODY,
    by: str,
) -> None:
    """Says by which approved template this text goes; replaces what was said before. Raises
    `BadRequest` and `NotFound`."""
    folder = folder_of(kind)
    if variant not in whatsapp_texts.variants(folder):
        known = ", ".join(whatsapp_texts.variants(folder))
        raise BadRequest(f"« {kind} » n'a pas de texte « {variant} ». Il a : {known}.")
    _require(_TEMPLATE, provider, name, "Nom de modèle")
    if not _LANGUAGE.fullmatch(language):
        raise BadRequest(f"« {language} » n'est pas une langue de modèle : fr, fr_FR, en_US…")
    if business_id != EVERYBODY:
        _require_business(connection, business_id)
    connection.execute(
        _SET_TEMPLATE,
        {
            "business_id": business_id,
            "provider": provider,
            "kind": kind,
            "variant": variant,
            "name": name,
            "language": language,
            "by": by,
        },
    )


def templates(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(_TEMPLATES).mappings()]


def remove_template(
    connection: Connection,
    *,
    provider: str,
    kind: str,
    variant: str,
    business_id: str = EVERYBODY,
) -> None:
    """Forgets it: the business goes by everybody's again, everybody's by none. Raises
    `NotFound`."""
    where = {"business_id": business_id, "provider": provider, "kind": kind, "variant": variant}
    if connection.execute(_DROP_TEMPLATE, where).rowcount == 0:
        raise NotFound("Aucun modèle n'est enregistré pour ce texte.")


def set_sender(
    connection: Connection, *, provider: str, sender: str, business_id: str, by: str
) -> None:
    """Gives the business its number, in place of the one that it had. Raises `BadRequest`, also for
    a number that is another business's, and `NotFound`."""
    _require(_SENDER, provider, sender, "Expéditeur")
    _require_business(connection, business_id)
    where = {"provider": provider, "sender": sender}
    owner = connection.execute(_OWNER, where).scalar()
    if owner is not None and owner != business_id:
        raise BadRequest(
            f"Ce numéro est celui de « {owner} » : retirez-le-lui d'abord (./ponctuel whatsapp "
            "sender remove)."
        )
    connection.execute(_SET_SENDER, where | {"business_id": business_id, "by": by})


def senders(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(_SENDERS).mappings()]


def remove_sender(connection: Connection, *, provider: str, business_id: str) -> None:
    """The business writes from the deployment's own number again. Raises `NotFound`."""
    where = {"provider": provider, "business_id": business_id}
    if connection.execute(_DROP_SENDER, where).rowcount == 0:
        raise NotFound("Cette entreprise n'a pas de numéro enregistré chez ce prestataire.")


def folder_of(kind: str) -> str:
    """The folder of a kind's WhatsApp texts. Raises `NotFound`, also for a kind that is only an
    e-mail."""
    folder = kinds.load(kind).whatsapp
    if folder is None:
        raise NotFound(f"« {kind} » ne part que par e-mail.")
    return folder


def _require(forms: Mapping[str, tuple[str, str]], provider: str, given: str, what: str) -> None:
    if provider not in forms:
        raise BadRequest(f"« {provider} » n'existe pas (au choix : {', '.join(PROVIDERS)}).")
    form, told = forms[provider]
    if not re.fullmatch(form, given):
        raise BadRequest(f"{what} « {given} » refusé : attendu {told}.")


def _require_business(connection: Connection, business_id: str) -> None:
    if connection.execute(_BUSINESS, {"business_id": business_id}).first() is None:
        raise NotFound(f"L'entreprise « {business_id} » n'existe pas.")
