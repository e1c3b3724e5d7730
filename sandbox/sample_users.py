"""The people who use the sample businesses' software: an owner, an assistant who prefers one e-mail
a day, and a closer. The same ids in each business, and nothing else in common."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.sample_customers import Row
from sandbox.sample_data import BusinessSeed

OWNER, ASSISTANT, CLOSER = "U1", "U2", "U3"
# Business → the names of its owner, assistant and closer.
_NAMES = {
    "B1": ("Sophie Garnier", "Karim Benali", "Léa Fontaine"),
    "B2": ("Antoine Mercier", "Inès Caron", "Hugo Lambert"),
    "B3": ("Marie-Josée Payet", "Jean-Yves Hoarau", "Émilie Grondin"),
    "B4": ("Nathalie Roche", "Thomas Pichon", "Awa Diallo"),
}
_ROLES = {OWNER: "owner", ASSISTANT: "member", CLOSER: "closer"}


def users(seed: BusinessSeed) -> Iterable[Row]:
    """Rows of `users`, the zone being the business's."""
    for (id, role), name in zip(_ROLES.items(), _NAMES[seed.id], strict=True):
        yield {
            "business_id": seed.id,
            "id": id,
            "name": name,
            "email": f"{id.lower()}@{seed.slug}.example",
            "role": role,
            "active": True,
            "created_at": "2025-09-01T08:00:00Z",
        }


def preferences(seed: BusinessSeed) -> Iterable[Row]:
    """Rows of `user_preferences`, of those who have changed them."""
    yield {
        "business_id": seed.id,
        "user_id": ASSISTANT,
        "email": True,
        "digest": True,
        "digest_at": "08:00",
        "appointment_offsets": "1440,60",
    }
