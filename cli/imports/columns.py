"""Which column is which, by the names that French invoicing software gives them.

Names are compared folded and without small words, so "N° de facture", "Numéro facture" and
"NUMERO DE FACTURE" are one. Where several columns could be the same field, the earliest name of
its list wins: "Montant TTC" before "Montant".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from chalicelib.errors import BadRequest
from cli.imports.folding import fold, shown

# Field → its names, after `_name`; the first is the one shown to people.
NAMES: Mapping[str, tuple[str, ...]] = {
    "number": (
        "numero facture", "facture numero", "num facture", "no facture", "n facture",
        "reference facture", "ref facture", "invoice number", "numero", "num", "no", "n",
        "numero document", "numero piece", "n piece", "n document", "doc numero", "piece",
        "document", "facture", "invoice", "reference document", "reference", "ref",
    ),
    "customer_name": (
        "nom client", "raison sociale client", "raison sociale", "client nom", "client",
        "intitule client", "nom tiers", "intitule tiers", "tiers", "client facture",
        "nom raison sociale", "nom societe", "societe", "entreprise", "destinataire",
        "nom complet", "customer name", "customer", "intitule", "nom",
    ),
    "customer_code": (
        "code client", "numero client", "n client", "no client", "reference client",
        "ref client", "identifiant client", "id client", "client code", "code tiers",
        "numero tiers", "n tiers", "compte client", "numero compte client", "compte tiers",
        "compte auxiliaire", "customer id",
    ),
    "emails": (
        "email facturation", "email client", "client email", "email", "courriel client",
        "courriel", "adresse email", "adresse courriel", "adresse electronique", "mail client",
        "adresse mail", "mail", "emails", "email contact", "email destinataire",
    ),
    "phone": (
        "whatsapp", "numero whatsapp", "n whatsapp", "telephone portable", "portable client",
        "portable", "numero portable", "telephone mobile", "mobile client", "mobile",
        "numero mobile", "tel portable", "tel mobile", "gsm", "telephone client",
        "client telephone", "telephone", "numero telephone", "n telephone", "no telephone",
        "tel client", "tel", "telephone contact", "phone", "phone number", "customer phone",
        "telephone fixe", "tel fixe",
    ),
    "customer_type": (
        "type client", "type tiers", "nature client", "profil client", "categorie client",
        "professionnel particulier", "particulier professionnel", "client type",
    ),
    "registration": (
        "siret", "numero siret", "n siret", "siret client", "siren siret", "siret siren",
        "siren", "numero siren", "n siren", "siren client", "tva intracommunautaire",
        "numero tva intracommunautaire", "n tva intracommunautaire", "tva intracom",
        "tva intra", "numero tva", "n tva",
    ),
    "issued_on": (
        "date facture", "date emission", "date facturation", "date emission facture",
        "emise le", "emis le", "date piece", "date document", "invoice date", "issue date",
        "emission", "date", "date creation",
    ),
    "due_on": (
        "date echeance", "echeance", "date echeance facture", "echeance facture",
        "date limite paiement", "date limite reglement", "date limite", "payer avant",
        "payable avant", "regler avant", "echeance paiement", "echeance reglement",
        "date exigibilite", "due date",
    ),
    "total": (
        "montant ttc", "total ttc", "montant total ttc", "total facture ttc", "ttc",
        "montant facture ttc", "total toutes taxes comprises", "montant toutes taxes comprises",
        "prix ttc", "net payer", "net payer ttc", "montant total", "total facture",
        "montant facture", "total", "montant", "amount",
    ),
    "balance": (
        "reste payer", "reste payer ttc", "restant payer", "montant restant payer", "restant du",
        "montant restant du", "reste du", "solde du", "solde restant du", "solde restant",
        "solde payer", "solde ttc", "solde ouvert", "montant ouvert", "montant du",
        "montant du ttc", "montant ttc du", "reste regler", "solde", "restant", "montant restant",
        "balance", "balance due", "montant impaye",
    ),
    "paid": (
        "montant regle", "montant paye", "montant encaisse", "deja paye", "deja regle",
        "total paye", "total regle", "total encaisse", "paye ttc", "montant paye ttc",
        "regle ttc", "paye", "regle", "encaisse", "payee", "reglee", "paiements", "reglements",
        "paiements recus", "amount paid",
    ),
    "currency": ("devise", "code devise", "devise facture", "monnaie", "currency"),
    "status": (
        "statut", "statut facture", "etat", "etat facture", "statut paiement", "etat paiement",
        "statut reglement", "etat reglement", "status", "situation",
    ),
    "document_type": (
        "type document", "type piece", "nature piece", "type operation", "type facture",
        "nature", "type",
    ),
    "pdf": (
        "fichier pdf", "pdf", "nom fichier", "nom fichier pdf", "fichier", "document pdf",
        "piece jointe", "fichier joint", "chemin pdf",
    ),
}  # fmt: skip

REQUIRED: Mapping[str, str] = {
    "number": "Numéro de facture",
    "customer_name": "Client",
    "issued_on": "Date de facture",
    "due_on": "Date d'échéance",
    "total": "Montant TTC",
}

_SMALL_WORDS = {"de", "d", "du", "des", "la", "le", "l", "les", "a", "au", "en", "eur", "euros"}
_NUMBER_SIGN = re.compile(r"\bn\s*[°º]|№", re.IGNORECASE)


class MissingColumns(BadRequest):
    """The file lacks columns without which its lines cannot be read."""

    code = "missing_columns"


@dataclass(frozen=True)
class Columns:
    """The columns of one kind of file. `names`: field → its names, after `_name`. `required`:
    field → its title, as people are told of it. `again`: field → the one that its title names the
    second time, as Outlook writes a day and an hour. `instead`: field → one that serves as well."""

    names: Mapping[str, Sequence[str]]
    required: Mapping[str, str]
    again: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _ranks(self) -> dict[str, tuple[str, int]]:
        return {
            name: (field, rank)
            for field, names in self.names.items()
            for rank, name in enumerate(names)
        }

    def recognise(self, header: Sequence[str]) -> dict[str, int]:
        """Field → position of its column, for the fields that this header names."""
        found: dict[str, tuple[int, int]] = {}
        for position, title in enumerate(header):
            name, rank = self._ranks.get(_name(title), ("", 0))
            if name in self.again and name in found and rank == found[name][0]:
                # A column that has the other's own name wins over it.
                name, rank = self.again[name], len(self._ranks)
            if name and (name not in found or rank < found[name][0]):
                found[name] = (rank, position)
        return {name: position for name, (_, position) in found.items()}

    def score(self, cells: Sequence[str]) -> int:
        """How many fields these cells name; 0 when they cannot be a header, as a title line."""
        if len(cells) < 2 or any(len(cell) > 100 for cell in cells):
            return 0
        found = len(self.recognise(cells))
        return found if found >= 2 else 0

    def require(self, header: Sequence[str], *, without: str = "") -> dict[str, int]:
        """The recognised columns, except one that somebody does `without`. Raises
        `MissingColumns`, in French, naming what is missing and what was found."""
        columns = self.recognise(header)
        columns.pop(without, None)
        missing = [
            f"« {title} »"
            for name, title in self.required.items()
            if name != without and not {name, self.instead.get(name)} & columns.keys()
        ]
        if missing:
            found = ", ".join(f"« {shown(title)} »" for title in header if title.strip())
            one = len(missing) == 1
            raise MissingColumns(
                f"Il manque {'la colonne' if one else 'les colonnes'} {', '.join(missing)}. "
                f"Colonnes trouvées : {found}. Ajoutez ou renommez "
                f"{'celle' if one else 'celles'} qui {'manque' if one else 'manquent'}, "
                "puis relancez (noms acceptés : docs/import.md)."
            )
        return columns


INVOICES = Columns(NAMES, REQUIRED)


def _name(title: str) -> str:
    """The title folded, without small words. A last "dû" stays: "montant dû" is no "montant"."""
    words = fold(_NUMBER_SIGN.sub(" numero ", title)).replace("e mail", "email").split()
    while words and words[-1] in _SMALL_WORDS - {"du"}:
        words.pop()
    return " ".join([word for word in words[:-1] if word not in _SMALL_WORDS] + words[-1:])
