"""The steps of erasing an account, each of which may be run again without harm.

What stops access comes first, what tells who it was comes last: the account's own row goes in the
transaction that proves that nothing else is left, so that a failure forgets nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import erasure_scan, retention
from chalicelib.domain.accounts.archiving import ARCHIVE, KEPT
from chalicelib.domain.accounts.retention_rules import Phase
from chalicelib.errors import ItemFailed

# Documents of what goes, before their rows do. Of invoices, those that
# are not archived.
_OF_USER: Final = """
SELECT t.storage_key FROM ponctuel.stored_files t
 WHERE t.business_id = :business AND t.user_id = :user
"""
_OF_BUSINESS: Final = f"""
SELECT t.storage_key FROM ponctuel.stored_files t WHERE t.business_id = :business
UNION SELECT t.pdf_key FROM ponctuel.quotes t WHERE t.business_id = :business
UNION SELECT t.pdf_key FROM ponctuel.invoices t WHERE t.business_id = :business AND NOT {KEPT}
"""
_MAILS: Final = """
UNION SELECT e.raw_key FROM ponctuel.emails e JOIN ponctuel.mailboxes b ON b.id = e.mailbox_id
 WHERE b.business_id = :business AND {which}
UNION SELECT a.stored_key FROM ponctuel.email_attachments a
  JOIN ponctuel.emails e ON e.id = a.email_id JOIN ponctuel.mailboxes b ON b.id = e.mailbox_id
 WHERE b.business_id = :business AND {which}
"""
_KEYS: Final = {
    "user": _OF_USER + _MAILS.format(which="b.address = :email"),
    "business": _OF_BUSINESS + _MAILS.format(which="true"),
}
_COLLECT: Final = """
INSERT INTO ponctuel.erasure_files (deletion_id, storage_key)
SELECT :number, k.storage_key FROM ({keys}) k(storage_key)
 WHERE k.storage_key <> ''
ON CONFLICT DO NOTHING
"""
_PSEUDONYM: Final = text("""
UPDATE ponctuel.account_deletions d
   SET state = CASE WHEN d.state IN ('scheduled', 'blocked', 'locked', 'erasing') THEN 'erased'
                    ELSE d.state END,
       erased_at = CASE WHEN d.state IN ('scheduled', 'blocked', 'locked', 'erasing')
                        THEN ponctuel.clock() ELSE d.erased_at END,
       user_id = '#' || CASE WHEN d.user_id = :user THEN :pseudonym ELSE d.id::text END,
       pseudonym = CASE WHEN d.user_id = :user THEN :pseudonym ELSE d.id::text END,
       wanted_at = NULL, step = NULL, attempts = 0, next_attempt_at = NULL, error_code = NULL,
       blocked_at = NULL, blocked_reason = NULL, leased_until = NULL
 WHERE d.business_id = :business AND d.pseudonym IS NULL
   AND (d.user_id = :user OR CAST(:scope AS text) = 'business')
""")


class Remains(ItemFailed):
    """Something that should have gone is still there: nobody is called erased."""

    code = "remains"


@dataclass(frozen=True)
class Subject:
    """Whose deletion. `values`: the parameters of `retention`, and `number`, `scope`."""

    number: int
    scope: str
    values: Mapping[str, Any]
    pseudonym: str

    @property
    def business(self) -> str:
        return str(self.values["business"])


Step = Callable[[Connection, Subject], Mapping[str, int]]


def access(connection: Connection, subject: Subject) -> Mapping[str, int]:
    """Sessions, mailboxes with what was read from them, and files: from here on nobody comes in,
    and nothing is read any more. What the store holds of it is noted down."""
    collecting = text(_COLLECT.format(keys=_KEYS[subject.scope]))
    files = connection.execute(collecting, subject.values).rowcount
    return _run(connection, subject, "access") | {"files": files}


def archive(connection: Connection, subject: Subject) -> Mapping[str, int]:
    """The accounting records of a business that goes; those of a user's business stay with it."""
    if subject.scope == "user":
        return {}
    return {"archived": connection.execute(ARCHIVE, subject.values).rowcount}


def children(connection: Connection, subject: Subject) -> Mapping[str, int]:
    """Everything else but the account."""
    return _run(connection, subject, "children")


def parent(connection: Connection, subject: Subject) -> Mapping[str, int]:
    """The account, and with the last one the business; then the proof. Raises `Remains`."""
    counts = _run(connection, subject, "parent")
    connection.execute(_PSEUDONYM, {**subject.values, "pseudonym": subject.pseudonym})
    left = erasure_scan.found(connection, subject.scope, subject.values)
    if left:
        places = ", ".join(f"{place} ({count})" for place, count in sorted(left.items()))
        raise Remains(f"Il reste des données à effacer : {places}.")
    return counts


def _run(connection: Connection, subject: Subject, phase: Phase) -> dict[str, int]:
    # Somebody's view that cannot be written is not written where there is nothing to do.
    counts: Counter[str] = Counter()
    for table, concerned, statement in retention.statements(subject.scope, phase):
        if connection.execute(text(concerned), subject.values).scalar_one():
            counts[table] += connection.execute(text(statement), subject.values).rowcount
    return dict(+counts)
