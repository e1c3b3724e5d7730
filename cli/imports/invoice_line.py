"""One line of an export → one invoice, or every reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from chalicelib.errors import BadRequest
from chalicelib.providers.phones import normalised
from cli.imports.amounts import Amount, AmountError, currency_code, parse_amount
from cli.imports.dates import DateError, parse_date
from cli.imports.folding import clean, fold, illegible, shown
from cli.imports.statuses import DOCUMENT_TYPES, YES_NO, Status, customer_type_of, status_of

AMOUNTS = ("total", "balance", "paid")
DATES = ("issued_on", "due_on")
OPEN = {"sent", "partial", "overdue"}
SETTLED = {"paid", "credited", "cancelled"}
# What some software writes where there is nothing.
BLANK = {"", "-", "–", "—"}

LONGEST = {"number": 100, "customer_name": 200, "customer_code": 100, "emails": 1000, "pdf": 200}
LABELS = {
    "number": "numéro",
    "customer_name": "nom du client",
    "customer_code": "code client",
    "emails": "adresse e-mail",
    "pdf": "fichier PDF",
    "issued_on": "date de facture",
    "due_on": "échéance",
    "total": "montant TTC",
    "balance": "reste à payer",
    "paid": "montant réglé",
    "currency": "devise",
}


@dataclass(frozen=True, slots=True)
class Conventions:
    """How a file writes what can be read two ways. `decimal_mark`: "," or ".", None: it does not
    tell. `month_first_seen`: it holds a date that only reads month first."""

    decimal_mark: str | None = None
    month_first_seen: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom a line names. `code`, `emails` and `phone` are empty when the file does not say; `phone`
    is as it was typed, and can be called."""

    name: str
    code: str
    emails: str
    customer_type: str | None
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """A line that was understood. `balance` is what remains to be paid, tax included, negative
    when too much was paid. None, and `disputed` False, is what the file does not say. `pdf` is a
    file's name. `remarks`: what was left out of the line, in French."""

    line: int
    number: str
    customer: Customer
    status: str
    disputed: bool
    issued_on: date | None
    due_on: date | None
    currency: str | None
    total: Decimal
    balance: Decimal
    pdf: str | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that was not imported: its number in the file, the invoice it names if it does, and
    all the reasons, in French. Also one that was imported without something, and why."""

    line: int
    number: str
    reasons: tuple[str, ...]


def read_line(line: int, cells: Mapping[str, str], conventions: Conventions) -> Invoice | Reject:
    """The invoice in these cells (field → text, every field present)."""
    reading = _Reading(cells, conventions)
    number = reading.text("number", required=True)
    customer = reading.customer()
    stated = reading.stated_status()
    money = reading.money(stated.status if stated else None)
    issued_on, due_on = reading.dates(stated.status if stated else None)
    pdf = reading.pdf()
    if reading.reasons or money is None:
        return Reject(line, shown(number, longest=100), tuple(reading.reasons))
    return Invoice(
        line=line,
        number=number,
        customer=customer,
        status=_status(stated.status if stated else "sent", money),
        disputed=stated is not None and stated.disputed,
        issued_on=issued_on,
        due_on=due_on,
        currency=money.currency,
        total=money.total,
        balance=money.balance,
        pdf=pdf,
        remarks=tuple(reading.remarks),
    )


@dataclass(frozen=True, slots=True)
class _Money:
    total: Decimal
    balance: Decimal
    currency: str | None


def _status(stated: str, money: _Money) -> str:
    """What the amounts make of a status: they tell open, partly paid and paid apart, and an
    invoice of less than nothing is a credit note."""
    if money.total < 0 and stated in OPEN | {"paid"}:
        return "credited"
    if stated not in OPEN:
        return stated
    if money.balance <= 0:
        return "paid"
    if stated == "overdue":
        return "overdue"
    return "partial" if money.balance < money.total else "sent"


@dataclass(slots=True)
class _Reading:
    """The cells of one line, read one by one; `reasons` gathers what is wrong with any, `remarks`
    what the invoice can do without."""

    cells: Mapping[str, str]
    conventions: Conventions
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def text(self, name: str, *, required: bool = False) -> str:
        text = clean(self.cells[name])
        if text in BLANK:
            if required:
                self.reasons.append(f"{LABELS[name]} : la case est vide")
            return ""
        if len(text) > LONGEST[name]:
            self.reasons.append(f"{LABELS[name]} : plus de {LONGEST[name]} caractères")
        if illegible(text):
            self.reasons.append(
                f"{LABELS[name]} : un caractère est illisible (enregistrez le fichier en UTF-8)"
            )
        return text

    def customer(self) -> Customer:
        return Customer(
            name=self.text("customer_name", required=True),
            code=self.text("customer_code"),
            emails=self.text("emails"),
            customer_type=customer_type_of(self.cells["customer_type"], self.cells["registration"]),
            phone=self.phone(),
        )

    def phone(self) -> str:
        text = clean(self.cells["phone"])
        if text in BLANK:
            return ""
        try:
            normalised(text)
        except BadRequest as error:
            told = str(error)
            self.remarks.append(f"téléphone : {told[0].lower()}{told[1:].rstrip('.')}")
            return ""
        return text

    def stated_status(self) -> Status | None:
        """The status in words, None when there are none; the kind of document goes before it."""
        document = DOCUMENT_TYPES.get(fold(self.cells["document_type"]))
        if document == "other":
            kind = clean(self.cells["document_type"])
            self.reasons.append(f"« {shown(kind)} » : ce n'est pas une facture")
        if document == "credit_note":
            return Status("credited")
        text = clean(self.cells["status"])
        if text in BLANK:
            yes_or_no = YES_NO.get(fold(self.cells["paid"]))
            return Status(yes_or_no) if yes_or_no else None
        status = status_of(text)
        if status is None:
            self.reasons.append(f"statut : « {shown(text)} » n'est pas connu")
        return status

    def money(self, status: str | None) -> _Money | None:
        total, stated, paid = self.amount("total"), self.amount("balance"), self.amount("paid")
        if total is None and clean(self.cells["total"]) in BLANK:
            self.reasons.append("montant TTC : la case est vide")
        currency = self.currency([amount for amount in (total, stated, paid) if amount])
        if total is None:
            return None
        if stated is not None:
            balance = stated.value
        elif status in SETTLED or total.value < 0:
            balance = Decimal(0)
        elif paid is not None:
            balance = total.value - paid.value
        elif status == "partial":
            self.reasons.append(
                "reste à payer : il faut ce montant, ou le montant réglé, pour une facture "
                "partiellement payée"
            )
            return None
        else:
            balance = total.value
        possible = balance <= total.value if total.value >= 0 else total.value <= balance <= 0
        if not possible:
            self.reasons.append(
                f"reste à payer : {_french(balance)} dépasse le montant TTC "
                f"({_french(total.value)})"
            )
        return _Money(total.value, balance, currency)

    def amount(self, name: str) -> Amount | None:
        text = clean(self.cells[name])
        if text in BLANK or (name == "paid" and fold(text) in YES_NO):
            return None
        try:
            return parse_amount(text, self.conventions.decimal_mark)
        except AmountError as error:
            self.reasons.append(f"{LABELS[name]} : {error}")
            return None

    def currency(self, amounts: list[Amount]) -> str | None:
        """The column's currency, else the one beside the amounts. "$" alone says dollars, of any
        country."""
        beside = {amount.currency for amount in amounts if amount.currency}
        text = clean(self.cells["currency"])
        if text not in BLANK:
            try:
                column = currency_code(text)
            except AmountError as error:
                self.reasons.append(f"{LABELS['currency']} : {error}")
                return None
            beside = (beside - {"USD"}) | {column}
        if len(beside) > 1:
            self.reasons.append(f"devise : la ligne en a plusieurs ({', '.join(sorted(beside))})")
        return min(beside, default=None)

    def dates(self, status: str | None) -> tuple[date | None, date | None]:
        issued_on, due_on = self.date("issued_on"), self.date("due_on")
        if issued_on is None and clean(self.cells["issued_on"]) in BLANK and status != "draft":
            self.reasons.append("date de facture : la case est vide")
        if issued_on and due_on and due_on < issued_on:
            self.reasons.append(
                f"échéance : le {due_on:%d/%m/%Y} est avant la date de facture "
                f"({issued_on:%d/%m/%Y})"
            )
        return issued_on, due_on

    def date(self, name: str) -> date | None:
        text = clean(self.cells[name])
        if text in BLANK:
            return None
        try:
            return parse_date(text, month_first_seen=self.conventions.month_first_seen)
        except DateError as error:
            self.reasons.append(f"{LABELS[name]} : {error}")
            return None

    def pdf(self) -> str | None:
        """The file's name without its folders; None for a link or a name that is no PDF's."""
        text = self.text("pdf")
        name = text.replace("\\", "/").rpartition("/")[2]
        return name if name.lower().endswith(".pdf") and "://" not in text else None


def _french(amount: Decimal) -> str:
    return f"{amount:.2f}".replace(".", ",")
