"""Which customer of the business a line of the file names.

By code, which is the customer's id; else by folded name. With a code, a customer known only by
name is taken over unless another code has it or the e-mail addresses contradict: two customers of
one name must not receive each other's invoices.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cli.imports.folding import fold, shown
from cli.imports.identifiers import hashed_identifier, identifier
from cli.imports.invoice_line import Customer

SEVERAL_OF_THAT_NAME = (
    "client : plusieurs clients s'appellent « {name} » : ajoutez le code client ou l'adresse e-mail"
)


class AmbiguousCustomerError(ValueError):
    """Several customers have that name and nothing tells which. Its text is French."""


@dataclass(slots=True)
class Entry:
    """One customer: as the database has it, or about to be created. `stated_…` is what the file
    says and the database may not have; "" and None say nothing."""

    id: str
    name: str
    emails: str
    is_new: bool
    seen: bool = False
    stated_name: str = ""
    stated_emails: str = ""
    stated_phone: str = ""
    stated_type: str | None = None


class Directory:
    """The customers of one business, as they are and as the file completes them."""

    def __init__(self, known: Iterable[tuple[str, str, str | None]], codes: Iterable[str]) -> None:
        """`known`: id, name and e-mails of the business's customers. `codes`: all of the file's."""
        self._entries: dict[str, Entry] = {}
        self._by_name: dict[str, list[Entry]] = defaultdict(list)
        self._file_ids = {identifier(code) for code in codes}
        self._taken_over: dict[str, Entry] = {}  # by the code's id
        self._taken: set[str] = set()
        for id, name, emails in known:
            self._add(Entry(id, name, emails or "", is_new=False))

    def resolve(self, customer: Customer) -> str:
        """The id of this customer, created when nobody matches. Raises `AmbiguousCustomerError`."""
        entry = self._by_code(customer) if customer.code else self._by_name_only(customer)
        # The first line that says something decides, so that importing again changes nothing.
        entry.stated_emails = entry.stated_emails or customer.emails
        entry.stated_phone = entry.stated_phone or customer.phone
        entry.stated_type = entry.stated_type or customer.customer_type
        if customer.code and not entry.seen and _key(customer.name) != _key(entry.name):
            entry.stated_name = customer.name
        entry.seen = True
        return entry.id

    def stated(self) -> list[Entry]:
        """The customers that are new, or of which the file said something."""
        return [
            entry
            for entry in self._entries.values()
            if entry.is_new
            or entry.stated_name
            or entry.stated_emails
            or entry.stated_phone
            or entry.stated_type
        ]

    def _by_code(self, customer: Customer) -> Entry:
        id = identifier(customer.code)
        entry = self._entries.get(id) or self._taken_over.get(id)
        if entry:
            return entry
        free = [
            entry
            for entry in self._by_name[_key(customer.name)]
            if entry.id not in self._taken
            and entry.id not in self._file_ids
            and not _contradict(entry.emails, customer.emails)
        ]
        if len(free) != 1:
            return self._add(Entry(id, customer.name, customer.emails, is_new=True))
        self._taken_over[id] = free[0]
        self._taken.add(free[0].id)
        return free[0]

    def _by_name_only(self, customer: Customer) -> Entry:
        named = self._by_name[_key(customer.name)]
        if len(named) > 1:
            named = [
                entry for entry in named if _addresses(entry.emails) & _addresses(customer.emails)
            ]
            if len(named) != 1:
                raise AmbiguousCustomerError(SEVERAL_OF_THAT_NAME.format(name=shown(customer.name)))
        if named:
            return named[0]
        id = hashed_identifier(_key(customer.name))
        # It exists under another name: the owner has renamed the one this file created.
        return self._entries.get(id) or self._add(
            Entry(id, customer.name, customer.emails, is_new=True)
        )

    def _add(self, entry: Entry) -> Entry:
        self._entries[entry.id] = entry
        self._by_name[_key(entry.name)].append(entry)
        return entry


def _key(name: str) -> str:
    return fold(name) or name.casefold()


def _addresses(emails: str) -> set[str]:
    return {word for word in re.split(r"[,;\s]+", emails.casefold()) if "@" in word}


def _contradict(some: str, others: str) -> bool:
    return bool(
        _addresses(some) and _addresses(others) and not _addresses(some) & _addresses(others)
    )
