"""Four sample businesses with their customers, users, invoices and quotes, in every state there is.

An artisan company near Lyon, an agency in Paris, an installer in La Réunion; and a twin of the
first, whose customers and documents have the same ids and numbers and nothing else in common.
Relative to the day they are built for, and the same for the same day, seed and sizes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from sqlalchemy import Connection, text

from sandbox import pdf, registration
from sandbox.sample_customers import Row, SampleCustomer, customers, phones
from sandbox.sample_data import BUSINESSES, LEVELS, TWINS, BusinessSeed
from sandbox.sample_documents import People, SampleDocument, invoices, quotes
from sandbox.sample_users import preferences, users

CUSTOMERS_PER_BUSINESS = 100
CHUNK = 5000


@dataclass
class Sample:
    """Rows by relation, as columns → values. `documents`: key → PDF. `labels`: why a customer or
    a document is there, by (relation, business, id); see `sample_states`, `sample_customers`."""

    today: date
    businesses: list[Row] = field(default_factory=list)
    billing_settings: list[Row] = field(default_factory=list)
    followup_levels: list[Row] = field(default_factory=list)
    customers: list[Row] = field(default_factory=list)
    customer_phones: list[Row] = field(default_factory=list)
    invoices: list[Row] = field(default_factory=list)
    quotes: list[Row] = field(default_factory=list)
    users: list[Row] = field(default_factory=list)
    user_preferences: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    labels: dict[tuple[str, str, str], str] = field(default_factory=dict)


def build(
    today: date,
    seed: int = 1,
    *,
    invoices_per_business: int = 150,
    quotes_per_business: int = 50,
) -> Sample:
    """The sample as of `today`, a day of the businesses' own calendars. Sizes are at least what
    every state takes: 53 invoices and 34 quotes per business."""
    sample = Sample(today)
    taken: set[str] = set()
    names: dict[str, list[tuple[str, str]]] = {}
    for business in BUSINESSES:
        rng = Random(f"{seed}/{business.id}")
        twin = TWINS[0] if business.id == TWINS[1] else ""
        row = _business(business, rng)
        size = max(CUSTOMERS_PER_BUSINESS, invoices_per_business // 5)
        buyers = customers(business, today, size, rng, taken)
        people = People(buyers, rng)
        own = invoices(business, today, invoices_per_business, people, rng, names.get(f"F{twin}"))
        offers = quotes(business, today, quotes_per_business, people, rng, names.get(f"D{twin}"))
        names[f"F{business.id}"] = [(str(d.row["id"]), str(d.row["number"])) for d in own]
        names[f"D{business.id}"] = [(str(d.row["id"]), str(d.row["number"])) for d in offers]
        _add(sample, business, row, buyers, own, offers)
    return sample


def load(connection: Connection, sample: Sample, *, history: bool = False) -> None:
    """Inserts the sample, set-based. With `history`, also the relances that were delivered before
    for the invoices labelled "after_…", whose third or fourth level is then the one that is due."""
    for relation in (
        "businesses",
        "billing_settings",
        "followup_levels",
        "customers",
        "customer_phones",
        "invoices",
        "quotes",
        "users",
        "user_preferences",
        *(["messages"] if history else []),
    ):
        rows: list[Row] = getattr(sample, relation)
        columns = ", ".join(rows[0])
        statement = text(
            f"INSERT INTO ponctuel.{relation} ({columns}) SELECT {columns} FROM "
            f"jsonb_populate_recordset(NULL::ponctuel.{relation}, CAST(:rows AS jsonb))"
        )
        for start in range(0, len(rows), CHUNK):
            chunk = json.dumps(rows[start : start + CHUNK], default=str)
            connection.execute(statement, {"rows": chunk})


def _business(seed: BusinessSeed, rng: Random) -> Row:
    return {
        "id": seed.id,
        "name": seed.name,
        "zone": seed.zone,
        "subdivision": seed.subdivision,
        "sender_name": seed.name,
        "sender_email": f"facturation@{seed.slug}.example",
        "reply_to": f"contact@{seed.slug}.example",
        "phone": seed.phone,
        "address": seed.address,
        "siret": registration.siret(rng),
        "iban": registration.iban(rng),
        "active": True,
    }


def _add(
    sample: Sample,
    seed: BusinessSeed,
    business: Row,
    people: Sequence[SampleCustomer],
    own: Sequence[SampleDocument],
    offers: Sequence[SampleDocument],
) -> None:
    sample.businesses.append(business)
    sample.billing_settings.append(
        _SETTINGS | seed.settings | {"business_id": seed.id, "followups_enabled": True}
    )
    sample.followup_levels.extend(
        {"business_id": seed.id, "channel": "whatsapp" if level[:3] in seed.whatsapp else "email"}
        | dict(zip(_LEVEL_COLUMNS, level, strict=True))
        for level in LEVELS
    )
    sample.customers.extend(person.row for person in people)
    if seed.whatsapp:
        sample.customer_phones.extend(phones(seed, people, Random(f"phones/{seed.id}")))
    sample.users.extend(users(seed))
    sample.user_preferences.extend(preferences(seed))
    sample.invoices.extend(document.row for document in own)
    sample.quotes.extend(document.row for document in offers)
    by_id = {person.id: person for person in people}
    for relation, documents in (("invoices", own), ("quotes", offers)):
        for document in documents:
            sample.labels[relation, seed.id, str(document.row["id"])] = document.label
    for person in people:
        sample.labels["customers", seed.id, person.id] = person.label
    for document in own:
        customer = by_id[str(document.row["customer_id"])]
        if document.pdf == "stored":
            sample.documents[str(document.row["pdf_key"])] = _pdf(business, customer, document)
        sample.messages.extend(_delivered(seed, customer, document))


# What a business's own settings replace; the same columns for all, as one INSERT wants.
_SETTINGS: Row = {
    "min_interval_days": 3,
    "tolerance": "1.00",
    "courtesy_days": 2,
    "window_start": "09:00",
    "window_end": "18:00",
    "business_days_only": True,
    "late_penalty_rate": None,
}
_LEVEL_COLUMNS = ("document", "policy", "level", "anchor", "delay_days", "tone", "attach_pdf")
# Label → levels of the standard policy that went out, with their days after the due date.
_WENT_OUT = {"after_reminder": ((2, 5),), "after_firm_reminder": ((2, 5), (3, 15))}


def _delivered(
    seed: BusinessSeed, customer: SampleCustomer, invoice: SampleDocument
) -> Iterable[Row]:
    """The relances of this invoice that arrived: each on its day, at nine in UTC."""
    due_on = invoice.row["due_on"]
    for level, days in _WENT_OUT.get(invoice.label, ()):
        assert isinstance(due_on, date)
        at = datetime.combine(due_on + timedelta(days=days), time(9), UTC)
        yield {
            "business_id": seed.id,
            "kind": "billing.invoice_followup",
            "subject": invoice.row["id"],
            "cycle": "0",
            "step": str(level),
            "channel": "email",
            "person": customer.id,
            "recipient": customer.row["emails"],
            "content": {},
            "key_free": False,
            "state": "delivered",
            "planned_at": at,
            "not_before": at,
            "expires_at": at + timedelta(days=7),
            "submitting_at": at,
            "settled_at": at,
            "claims": 0,
            "attempts": 1,
        }


def _pdf(business: Row, customer: SampleCustomer, invoice: SampleDocument) -> bytes:
    row = invoice.row
    lines = (
        str(business["name"]),
        str(business["address"]),
        f"SIRET {business['siret']}",
        "",
        f"Facture {row['number']}",
        f"Émise le {_french(row['issued_on'])}, à régler avant le {_french(row['due_on'])}",
        f"Client : {' '.join(str(customer.row['name']).split())}, {customer.address}",
        "",
        invoice.work,
        f"Total TTC : {str(row['total']).replace('.', ',')} €",
        f"Reste à payer : {str(row['balance']).replace('.', ',')} €",
        f"IBAN {business['iban']}",
    )
    return pdf.page(lines)


def _french(day: object) -> str:
    return f"{day:%d/%m/%Y}" if isinstance(day, date) else "…"
