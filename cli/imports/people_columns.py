"""The columns of exported users and leads."""

from __future__ import annotations

from cli.imports.columns import Columns
from cli.imports.subject import Stated, Subject, words

_LABELS = {
    "code": "code", "name": "nom", "email": "adresse e-mail", "phone": "téléphone",
    "zone": "fuseau horaire", "role": "rôle", "stage": "étape", "status": "statut",
    "closer_id": "commercial",
}  # fmt: skip
_EMAIL = ("email", "courriel", "adresse email", "adresse courriel", "mail", "user email",
          "person email", "email address")  # fmt: skip
_PHONE = ("whatsapp", "telephone portable", "portable", "mobile", "telephone", "tel",
          "phone number", "phone", "person phone", "mobile phone number")  # fmt: skip
ZONE = ("fuseau horaire", "fuseau", "time zone", "timezone")

USERS = Subject(
    "users",
    Columns(
        {
            "code": ("code", "code utilisateur", "identifiant", "id", "user id"),
            "name": ("nom complet", "nom", "utilisateur", "full name", "user name", "name"),
            "email": _EMAIL,
            "phone": _PHONE,
            "role": ("role", "fonction", "profil", "user role"),
            "zone": ZONE,
        },
        {"name": "Nom"},
    ),
    "nom, e-mail, rôle…",
    _LABELS,
    {
        "name": Stated(),
        "email": Stated(),
        "phone": Stated(),
        "role": Stated("'member'"),
        "zone": Stated(),
    },
    {
        "role": words(
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
            "zone": ZONE,
        },
        {"name": "Nom"},
    ),
    "nom, téléphone, e-mail, étape…",
    _LABELS,
    {"name": Stated(), "email": Stated(), "phone": Stated(), "stage": Stated("'nouveau'"),
     "status": Stated("'open'"), "closer_id": Stated(), "zone": Stated()},
    {
        "status": words(
            open="ouvert|ouverte|en cours|a faire|nouveau|todo|standby|open|new|in progress",
            won="gagne|gagnee|signe|signee|won",
            lost="perdu|perdue|abandonne|abandonnee|annule|annulee|lost|cancelled",
        )
    },
    {
        "stage_since": "CASE WHEN n.stage IS DISTINCT FROM r.stage AND n.stage IS NOT NULL"
                       " THEN ponctuel.clock() ELSE r.stage_since END",
        "updated_at": "ponctuel.clock()",
    },
)  # fmt: skip
