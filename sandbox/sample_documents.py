"""Invoices and quotes of one sample business, in every state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle
from random import Random

from sandbox.sample_customers import Row, SampleCustomer
from sandbox.sample_data import BusinessSeed
from sandbox.sample_states import (
    INVOICES,
    QUOTE_VALIDITY_DAYS,
    QUOTES,
    State,
    latest_leap_day,
)

TERMS_DAYS = (0, 15, 30, 30, 30, 45, 60)
CENT = Decimal("0.01")
# Both of one customer's currencies.
OF_TWO_CURRENCIES = {"in_euros", "in_dollars"}


@dataclass(frozen=True)
class SampleDocument:
    """`label`: its state's, or its special customer's. `work`: what was sold. `pdf`: "stored" (it
    is among the documents), "named" (only the row says so), or ""."""

    label: str
    row: Row
    issued_on: date | None
    work: str
    pdf: str


class People:
    """Who is dealt the documents. Open ones go round all ordinary customers, so that one relance
    rarely makes another wait; special customers have only what is dealt to them by name."""

    def __init__(self, customers: Sequence[SampleCustomer], rng: Random) -> None:
        self.special = {customer.label: customer for customer in customers if customer.label}
        self.ordinary = [customer for customer in customers if not customer.label]
        self.companies = [c for c in self.ordinary if c.row["customer_type"] == "professional"]
        self._open = cycle(rng.sample(self.ordinary, len(self.ordinary)))
        self._rng = rng

    def dealt(self, label: str, state: State) -> SampleCustomer:
        if label in OF_TWO_CURRENCIES:
            return self.special["two_currencies"]
        if label == "leap_day":  # two years later a consumer is no longer chased
            return self._rng.choice(self.companies)
        return next(self._open) if state.is_open else self._rng.choice(self.ordinary)


@dataclass(frozen=True)
class _Choice:
    label: str
    state: State
    customer: SampleCustomer


def invoices(
    seed: BusinessSeed,
    today: date,
    count: int,
    people: People,
    rng: Random,
    names: Sequence[tuple[str, str]] | None = None,
) -> list[SampleDocument]:
    """`count` invoices, or more if the states and special customers are more, by issue date.
    `names`: ids and numbers to take instead of new ones, a twin's."""
    choices = _choices(INVOICES, "reminder_due", count, people, rng)
    drawn = [_invoice(seed, today, choice, rng) for choice in choices]
    return _named(drawn, seed, "F", "factures", names)


def quotes(
    seed: BusinessSeed,
    today: date,
    count: int,
    people: People,
    rng: Random,
    names: Sequence[tuple[str, str]] | None = None,
) -> list[SampleDocument]:
    """`count` quotes, or more; see `invoices`."""
    choices = _choices(QUOTES, "answer_awaited", count, people, rng)
    drawn = [_quote(seed, today, choice, rng) for choice in choices]
    return _named(drawn, seed, "D", "devis", names)


def _choices(
    states: Mapping[str, State], for_special: str, count: int, people: People, rng: Random
) -> list[_Choice]:
    """Each state once, each special customer once (three times for the one with several), then
    states by weight."""
    choices = [_Choice(label, state, people.dealt(label, state)) for label, state in states.items()]
    for label, customer in people.special.items():
        times = 3 if label == "several_due" else 1
        choices += [_Choice(label, states[for_special], customer)] * times
    weighted = [label for label, state in states.items() for _ in range(state.weight)]
    for _ in range(count - len(choices)):
        label = rng.choice(weighted)
        choices.append(_Choice(label, states[label], people.dealt(label, states[label])))
    return choices


def _invoice(seed: BusinessSeed, today: date, choice: _Choice, rng: Random) -> SampleDocument:
    state = choice.state
    work, total = _sale(seed, rng)
    due_on = today + timedelta(days=rng.randint(*state.due))
    if state.values.get("due_on") == "leap":
        due_on = latest_leap_day(today)
    issued_on = min(due_on - timedelta(days=rng.choice(TERMS_DAYS)), today)
    draft = state.status == "draft"
    total *= -1 if choice.label == "credit_note" else 1
    row: Row = {
        "customer_id": choice.customer.id,
        "status": state.status,
        "issued_on": None if draft else issued_on,
        "due_on": None if draft or choice.label == "no_due_date" else due_on,
        "currency": "EUR",
        "total": total,
        "balance": Decimal(state.balance)
        if isinstance(state.balance, str)
        else (total * Decimal(str(state.balance))).quantize(CENT),
        "disputed": False,
        "promised_until": None,
        "auto_enabled": True,
        "policy": state.policy,
        "cycle": 0,
        "reopened_on": None,
    }
    row |= {name: value for name, value in state.values.items() if name != "due_on"}
    row |= {name: today + timedelta(days=days) for name, days in state.offsets.items()}
    return SampleDocument(choice.label, row, None if draft else issued_on, work, state.document)


def _quote(seed: BusinessSeed, today: date, choice: _Choice, rng: Random) -> SampleDocument:
    state = choice.state
    work, total = _sale(seed, rng)
    valid_until = today + timedelta(days=rng.randint(*state.due))
    issued_on = None
    if state.status != "draft":
        issued_on = min(valid_until - timedelta(days=QUOTE_VALIDITY_DAYS), today)
    row: Row = {
        "customer_id": choice.customer.id,
        "status": state.status,
        "issued_on": issued_on,
        "valid_until": valid_until,
        "currency": "EUR",
        "total": total,
        "auto_enabled": True,
        "policy": state.policy,
        "version": 1,
    }
    return SampleDocument(choice.label, row | state.values, issued_on, work, state.document)


def _sale(seed: BusinessSeed, rng: Random) -> tuple[str, Decimal]:
    """What was sold, and its price with tax in euros: round before tax, as prices are."""
    work, lowest, highest = rng.choice(seed.trade.works)
    before_tax = Decimal(rng.randrange(lowest, highest, 10)) + rng.choice((0, 0, Decimal("0.50")))
    return work, (before_tax * (1 + Decimal(rng.choice(seed.trade.vat_rates)))).quantize(CENT)


def _named(
    drawn: Sequence[SampleDocument],
    seed: BusinessSeed,
    prefix: str,
    folder: str,
    names: Sequence[tuple[str, str]] | None,
) -> list[SampleDocument]:
    """By issue date, with ids and numbers: chronological and without gaps in each year, as the law
    wants (code général des impôts, annexe II, article 242 nonies A). Drafts come last."""
    counts: Counter[str] = Counter()
    found = []
    for position, document in enumerate(sorted(drawn, key=lambda d: d.issued_on or date.max)):
        issued_on = document.issued_on
        series = f"{prefix}-{issued_on.year}" if issued_on else f"{prefix}-BROUILLON"
        counts[series] += 1
        id, number = f"{folder}-{position + 1:05}", f"{series}-{counts[series]:04}"
        if names is not None:
            id, number = names[position]
        key = f"{seed.id}/{folder}/{number}.pdf" if document.pdf else None
        row = {"business_id": seed.id, "id": id, "number": number, "pdf_key": key}
        found.append(replace(document, row=row | document.row))
    return found
