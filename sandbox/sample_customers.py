"""Customers of the sample: ordinary ones, and one for each thing that is not ordinary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from cli.imports.folding import fold
from sandbox.sample_data import (
    COMPANY_NAMES,
    FIRST_NAMES,
    LAST_NAMES,
    LEGAL_FORMS,
    TRADES,
    BusinessSeed,
)

Row = dict[str, object]


@dataclass(frozen=True)
class SampleCustomer:
    """`label`: what is special about it, "" when nothing is. `address` is for the documents."""

    label: str
    row: Row
    address: str

    @property
    def id(self) -> str:
        return str(self.row["id"])


def customers(
    seed: BusinessSeed, today: date, count: int, rng: Random, taken: set[str]
) -> list[SampleCustomer]:
    """The special customers, then ordinary ones up to `count` in all. `taken` holds every name and
    address of the sample: no two customers share one."""
    rows = [*_special(seed, today)]
    while len(rows) < count:
        person = rng.random() < 0.3
        rows.append(("", _person(rng, taken) if person else _company(rng, taken)))
    found = []
    for number, (label, row) in enumerate(rows, start=1):
        postcode, town = rng.choice(seed.towns)
        identified = {"business_id": seed.id, "id": f"cli-{number:04}"}
        found.append(SampleCustomer(label, _DEFAULTS | row | identified, f"{postcode} {town}"))
    return found


_DEFAULTS: Row = {
    "customer_type": "professional",
    "emails": None,
    "policy": None,
    "auto_enabled": True,
    "paused_until": None,
    "insolvency": False,
}


def phones(seed: BusinessSeed, customers: Sequence[SampleCustomer], rng: Random) -> Iterator[Row]:
    """The numbers of the customers of a business that uses WhatsApp, as people type them: one each,
    but that a couple and their club share one, and that who wants no relance gave none."""
    shared = rng.randrange(10_000)
    for customer in customers:
        if customer.label == "opted_out":
            continue
        in_common = customer.label in ("consumer", "unknown_type")
        number = f"06 39 98 {shared if in_common else rng.randrange(10_000):04}"
        phone = rng.choice((number, number.replace(" ", ""), f"+33 {number[1:]}"))
        yield {"business_id": seed.id, "customer_id": customer.id, "phone": phone}


def _special(seed: BusinessSeed, today: date) -> Iterator[tuple[str, Row]]:
    family, domain = seed.family, f"{fold(seed.family)}-{seed.id.lower()}.example"

    def named(label: str, name: str, **fields: object) -> tuple[str, Row]:
        return label, {"name": name, "emails": f"{label.replace('_', '-')}@{domain}"} | fields

    yield named("no_email", f"{family} Matériaux", emails=None)
    yield named("blank_email", f"{family} Négoce", emails="")
    yield named("invalid_email", f"{family} Paysages", emails="à demander à Mme Martin")
    yield named(
        "several_emails",
        f"{family} Immobilier",
        emails=f"compta@{domain}; Direction <direction@{domain}>, achats@{domain}",
    )
    yield named("half_valid_emails", f"{family} Toitures", emails=f"devis@{domain}, jean@@{domain}")
    yield named("html_name", f"<b>{family} & Fils</b>")
    yield named("line_break_name", f"{family} Frères\r\nBcc: tout-le-monde@exemple.test")
    yield named("quoted_name", f"L'Étoile d'Or « Chez {family} » \"le vrai\"")
    yield named(
        "long_name", f"Association syndicale libre {family} " + "et des copropriétaires " * 6
    )
    yield named("consumer", f"M. et Mme {family}", customer_type="consumer")
    yield named("unknown_type", f"Comité des fêtes {family}", customer_type=None)
    yield named("insolvent", f"{family} Textile (en liquidation)", insolvency=True)
    yield named("paused", f"{family} Chaudronnerie", paused_until=today + timedelta(days=10))
    yield named("paused_until_today", f"{family} Tôlerie", paused_until=today)
    yield named("pause_over", f"{family} Peinture", paused_until=today - timedelta(days=1))
    yield named("opted_out", f"{family} Conseil", auto_enabled=False)
    yield named("two_currencies", f"{family} Export")
    yield named("several_due", f"{family} Promotion")
    yield named("strict_policy", f"{family} Location", policy="ferme")


def _company(rng: Random, taken: set[str]) -> Row:
    form = rng.choice(LEGAL_FORMS)
    name = f"{rng.choice(TRADES)} {rng.choice(COMPANY_NAMES)} {form}".strip()
    name = _unique(name, taken)
    return {"name": name, "emails": f"compta@{_slug(name)}.example"}


def _person(rng: Random, taken: set[str]) -> Row:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES).replace("-", " ")
    name = _unique(f"{first} {last}", taken)
    email = f"{_slug(name).replace('-', '.')}@exemple.test"
    return {"name": name, "customer_type": "consumer", "emails": email}


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while _slug(candidate) in taken:
        number += 1
        candidate = f"{name} {number}"
    taken.add(_slug(candidate))
    return candidate


def _slug(name: str) -> str:
    return "-".join(fold(name).split())
