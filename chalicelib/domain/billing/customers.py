"""Customers as other domains ask for them: whose address it is, and what they are chased for."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection, text

from chalicelib.domain.billing.queries import CHASED_INVOICES, CHASED_QUOTES
from chalicelib.outbox.contacts import addresses

# More customers than that at one address, and it is nobody's in particular.
MOST_CANDIDATES = 20

# What may stand around an address in a customer's file; `addresses` then reads it exactly.
_AROUND = "translate(lower(c.emails), :around, repeat(',', length(:around)))"
AROUND = "; \t\r\n<>()[]|/&\"'‘’“”«»:\u00a0\u200b\ufeff"
_BY_ADDRESS = text(f"""
SELECT c.id, c.emails FROM ponctuel.customers c
 WHERE c.business_id = :business_id AND c.emails LIKE '%@%'
   AND string_to_array({_AROUND}, ',')
       && ARRAY(SELECT value FROM jsonb_array_elements_text(CAST(:spellings AS jsonb)))
 ORDER BY c.id
""")
_EMAILS = text("""
SELECT c.id, c.emails FROM ponctuel.customers c
 WHERE c.business_id = :business_id
   AND c.id IN (SELECT value FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")
# Of each customer, so many of the documents that are being chased.
NAMED = 6
_CHASED = text(f"""
SELECT c.business_id, c.id, c.name, c.paused_until,
       (SELECT jsonb_agg(n.number ORDER BY n.number) FROM (
          SELECT i.number FROM ponctuel.invoices i
           WHERE i.business_id = c.business_id AND i.customer_id = c.id AND {CHASED_INVOICES}
             AND i.number ~ '[[:alnum:]]'
           ORDER BY i.number LIMIT {NAMED}) n) AS invoices,
       (SELECT jsonb_agg(n.number ORDER BY n.number) FROM (
          SELECT q.number FROM ponctuel.quotes q
           WHERE q.business_id = c.business_id AND q.customer_id = c.id AND {CHASED_QUOTES}
             AND q.number ~ '[[:alnum:]]'
           ORDER BY q.number LIMIT {NAMED}) n) AS quotes
  FROM ponctuel.customers c
 WHERE (c.business_id, c.id) IN (
   SELECT w.business_id, w.id
     FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS w(business_id text, id text))
""")


@dataclass(frozen=True)
class Chased:
    """A customer, the last day of the pause (inclusive), and the numbers of the first `NAMED`
    invoices and quotes that are chased when there is no pause."""

    name: str = field(repr=False)
    paused_until: date | None
    invoices: Sequence[str]
    quotes: Sequence[str]


def at_addresses(
    connection: Connection, business_id: str, wanted: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Address → the ids of the customers of that business whose file has it, in their order.
    `wanted`: in lower case; an address of nobody is left out. One pass over the customers."""
    spellings = sorted({spelling for address in wanted for spelling in _spellings(address)})
    if not spellings:
        return {}
    values = {"business_id": business_id, "around": AROUND, "spellings": json.dumps(spellings)}
    found: dict[str, dict[str, None]] = {}
    for row in connection.execute(_BY_ADDRESS, values):
        for address in addresses(row.emails):
            found.setdefault(address, {})[row.id] = None
    return {
        address: tuple(found[canonical])[:MOST_CANDIDATES]
        for address in wanted
        if (canonical := _canonical(address)) in found
    }


def addresses_of(
    connection: Connection, business_id: str, ids: Collection[str]
) -> dict[str, frozenset[str]]:
    """Customer's id → the addresses of the file, in lower case."""
    if not ids:
        return {}
    values = {"business_id": business_id, "ids": json.dumps(sorted(ids))}
    found: dict[str, frozenset[str]] = {}
    for row in connection.execute(_EMAILS, values):
        found[row.id] = found.get(row.id, frozenset()) | frozenset(addresses(row.emails))
    return found


def chased(
    connection: Connection, wanted: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Chased]:
    """(business, customer) → what they are chased for now; whoever is gone is left out."""
    if not wanted:
        return {}
    asked = [{"business_id": business, "id": id} for business, id in sorted(wanted)]
    rows = connection.execute(_CHASED, {"wanted": json.dumps(asked)})
    return {
        (row.business_id, row.id): Chased(
            row.name or "", row.paused_until, tuple(row.invoices or ()), tuple(row.quotes or ())
        )
        for row in rows
    }


def _canonical(address: str) -> str:
    """As `addresses` writes it: a domain may come in letters or in punycode."""
    return next(iter(addresses(address)), address)


def _spellings(address: str) -> set[str]:
    canonical = _canonical(address)
    found = {address, canonical}
    if "@xn--" in canonical or ".xn--" in canonical:
        local, _, domain = canonical.rpartition("@")
        labels = [_letters(label) for label in domain.split(".")]
        found.add(f"{local}@{'.'.join(labels)}")
    return found


def _letters(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
