"""The columns of exported users and leads, and how a chunk of either is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cli.imports.columns import Columns


def _words(**meanings: str) -> dict[str, str]:
    return {word: value for value, words in meanings.items() for word in words.split("|")}


@dataclass(frozen=True)
class Subject:
    """`types`: column → its default in SQL, "NULL" for none. `on_update`: what else an
    UPDATE sets. `words`: column → folded word → value."""

    relation: str
    columns: Columns
    sample: str
    labels: Mapping[str, str]
    types: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]
    on_update: str = ""

    @property
    def _stated(self) -> str:
        names = ("id", *self.types)
        arrays = ", ".join(f"CAST(:{name} AS text[])" for name in names)
        return f"SELECT * FROM unnest({arrays}) AS n({', '.join(names)})"

    @property
    def _changed(self) -> str:
        return " OR ".join(f"n.{name} IS NOT NULL AND n.{name} IS DISTINCT FROM r.{name}"
                           for name in self.types)  # fmt: skip

    @property
    def count(self) -> str:
        return f"""SELECT count(*) AS existing, count(*) FILTER (WHERE {self._changed}) AS changed
          FROM ({self._stated}) n JOIN ponctuel.{self.relation} r
            ON r.business_id = :business AND r.id = n.id"""

    @property
    def update(self) -> str:
        merged = ", ".join(f"{name} = COALESCE(n.{name}, r.{name})" for name in self.types)
        return f"""UPDATE ponctuel.{self.relation} AS r SET {merged}{self.on_update}
          FROM ({self._stated}) n
         WHERE r.business_id = :business AND r.id = n.id AND ({self._changed})"""

    @property
    def insert(self) -> str:
        values = ", ".join(f"COALESCE(n.{name}, {default})" for name, default in self.types.items())
        return f"""INSERT INTO ponctuel.{self.relation} (business_id, id, {", ".join(self.types)})
        SELECT :business, n.id, {values} FROM ({self._stated}) n
         WHERE NOT EXISTS (SELECT 1 FROM ponctuel.{self.relation} r
                            WHERE r.business_id = :business AND r.id = n.id)"""


_LABELS = {
    "code": "code", "name": "nom", "email": "adresse e-mail", "phone": "téléphone",
    "zone": "fuseau horaire", "role": "rôle", "stage": "étape", "status": "statut",
    "closer_id": "commercial",
}  # fmt: skip
_EMAIL = ("email", "courriel", "adresse email", "adresse courriel", "mail", "user email",
          "person email", "email address")  # fmt: skip
_PHONE = ("whatsapp", "telephone portable", "portable", "mobile", "telephone", "tel",
          "phone number", "phone", "person phone", "mobile phone number")  # fmt: skip
_ZONE = ("fuseau horaire", "fuseau", "time zone", "timezone")

USERS = Subject(
    "users",
    Columns(
        {
            "code": ("code", "code utilisateur", "identifiant", "id", "user id"),
            "name": ("nom complet", "nom", "utilisateur", "full name", "user name", "name"),
            "email": _EMAIL,
            "phone": _PHONE,
            "role": ("role", "fonction", "profil", "user role"),
            "zone": _ZONE,
        },
        {"name": "Nom"},
    ),
    "nom, e-mail, rôle…",
    _LABELS,
    {"name": "NULL", "email": "NULL", "phone": "NULL", "role": "'member'", "zone": "NULL"},
    {
        "role": _words(
            owner="proprietaire|gerant|gerante|dirigeant|dirigeante|owner",
            admin="administrateur|administratrice|admin|super admin",
            member="membre|utilisateur|utilisatrice|collaborateur|collaboratrice|member|user",
            closer="commercial|commerciale|vendeur|vendeuse|closer|sales",
        )
    },
)
LEADS = Subject(
    "leads",
    Columns(
        {
            "code": ("code", "code prospect", "identifiant", "id", "record id", "lead id"),
            "name": ("nom complet", "nom prospect", "prospect", "nom contact", "contact", "nom",
                     "lead", "lead name", "person name", "full name", "name", "title"),
            "email": _EMAIL,
            "phone": _PHONE,
            "stage": ("etape", "phase", "etape pipeline", "step", "stage", "deal stage",
                      "lead stage"),
            "status": ("statut", "etat", "status", "lead status"),
            "closer_id": ("commercial", "responsable", "proprietaire contact", "proprietaire",
                          "assigne", "closer", "contact owner", "deal owner", "lead owner",
                          "owner", "user"),
            "zone": _ZONE,
        },
        {"name": "Nom"},
    ),
    "nom, téléphone, e-mail, étape…",
    _LABELS,
    {"name": "NULL", "email": "NULL", "phone": "NULL", "stage": "'nouveau'", "status": "'open'",
     "closer_id": "NULL", "zone": "NULL"},
    {
        "status": _words(
            open="ouvert|ouverte|en cours|a faire|nouveau|todo|standby|open|new|in progress",
            won="gagne|gagnee|signe|signee|won",
            lost="perdu|perdue|abandonne|abandonnee|annule|annulee|lost|cancelled",
        )
    },
    ", stage_since = CASE WHEN n.stage IS DISTINCT FROM r.stage AND n.stage IS NOT NULL"
    " THEN ponctuel.clock() ELSE r.stage_since END, updated_at = ponctuel.clock()",
)  # fmt: skip
