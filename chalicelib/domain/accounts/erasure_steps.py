"""The steps of erasing an account, each of which may be run again without harm.

What stops access comes first, what tells who it was comes last: the account's own row goes in the
transaction that proves that nothing else is left, so that a failure forgets nothing.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text

from chalicelib.domain.accounts import erasure_scan, retention
from chalicelib.domain.accounts.archiving import ARCHIVE, KEPT
from chalicelib.domain.accounts.erasure_lease import Taken
from chalicelib.domain.accounts.retention_rules import Phase
from chalicelib.errors import ItemFailed

# Documents of what goes, before their rows do. Of invoices, those that
# are not archived.
_OF_USER: Final = """
SELECT w.number, t.storage_key FROM who w JOIN ponctuel.stored_files t
    ON t.business_id = w.business AND t.user_id = w."user"
"""
_OF_BUSINESS: Final = f"""
SELECT w.number, t.storage_key FROM who w
  JOIN ponctuel.stored_files t ON t.business_id = w.business
UNION SELECT w.number, t.pdf_key FROM who w
  JOIN ponctuel.quotes t ON t.business_id = w.business
UNION SELECT w.number, t.pdf_key FROM who w
  JOIN ponctuel.invoices t ON t.business_id = w.business AND NOT {KEPT}
"""
_MAILS: Final = """
UNION SELECT w.number, e.raw_key FROM who w
  JOIN ponctuel.mailboxes b ON b.business_id = w.business AND {which}
  JOIN ponctuel.emails e ON e.mailbox_id = b.id
UNION SELECT w.number, a.stored_key FROM who w
  JOIN ponctuel.mailboxes b ON b.business_id = w.business AND {which}
  JOIN ponctuel.emails e ON e.mailbox_id = b.id
  JOIN ponctuel.email_attachments a ON a.email_id = e.id
"""
_KEYS: Final = {
    "user": _OF_USER + _MAILS.format(which="b.address = w.email"),
    "business": _OF_BUSINESS + _MAILS.format(which="true"),
}
_COLLECT: Final = """
WITH {who}, collected AS (
  INSERT INTO ponctuel.erasure_files (deletion_id, storage_key)
  SELECT k.number, k.storage_key FROM ({keys}) k(number, storage_key)
   WHERE k.storage_key <> ''
  ON CONFLICT DO NOTHING RETURNING deletion_id
) SELECT deletion_id, count(*) FROM collected GROUP BY deletion_id
"""
_PSEUDONYM: Final = text("""
UPDATE ponctuel.account_deletions d
   SET state = CASE WHEN d.state IN ('scheduled', 'blocked', 'locked', 'erasing') THEN 'erased'
                    ELSE d.state END,
       erased_at = CASE WHEN d.state IN ('scheduled', 'blocked', 'locked', 'erasing')
                        THEN ponctuel.clock() ELSE d.erased_at END,
       user_id = '#' || CASE WHEN d.user_id = w."user" THEN w.pseudonym ELSE d.id::text END,
       pseudonym = CASE WHEN d.user_id = w."user" THEN w.pseudonym ELSE d.id::text END,
       wanted_at = NULL, step = NULL, attempts = 0, next_attempt_at = NULL, error_code = NULL,
       blocked_at = NULL, blocked_reason = NULL, leased_until = NULL
  FROM unnest(CAST(:businesses AS text[]), CAST(:users AS text[]), CAST(:pseudonyms AS text[]))
    AS w(business, "user", pseudonym)
 WHERE d.business_id = w.business AND d.pseudonym IS NULL
   AND (d.user_id = w."user" OR CAST(:scope AS text) = 'business')
""")
# An address that another account of the business has too is theirs, and stays.
_EMAILS = text("""
SELECT w.id, CASE WHEN CAST(:scope AS text) = 'business' OR NOT EXISTS (
         SELECT 1 FROM ponctuel.users o
          WHERE o.business_id = u.business_id AND o.id <> u.id
            AND lower(btrim(o.email)) = lower(btrim(u.email))) THEN lower(btrim(u.email)) END
  FROM unnest(CAST(:ids AS bigint[]), CAST(:businesses AS text[]), CAST(:users AS text[]))
    AS w(id, business, "user")
  JOIN ponctuel.users u ON u.business_id = w.business AND u.id = w."user"
""")


class Remains(ItemFailed):
    """Something that should have gone is still there: nobody is called erased."""

    code = "remains"


class Moving(ItemFailed):
    """Somebody writes to what is erased: of several accounts, it cannot be said whose rows went."""

    code = "moving"


@dataclass(frozen=True)
class Subjects:
    """Accounts of one scope, each of another business, that take a step together. `values`: the
    parameters of `retention`, `pseudonyms` in the same order."""

    scope: str
    numbers: Sequence[int]
    values: Mapping[str, Any]
    pseudonyms: Sequence[str]


Counts = Mapping[int, Mapping[str, int]]
Step = Callable[[Connection, Subjects], Counts]


def parameters(connection: Connection, group: Sequence[Taken]) -> dict[str, Any]:
    """Those of `retention`, of accounts of one scope, with the addresses that are theirs alone."""
    scope = group[0].scope
    asked = {
        "scope": scope,
        "ids": [one.id for one in group],
        "businesses": [one.business_id for one in group],
        "users": [one.user_id for one in group],
    }
    emails = {row[0]: row[1] for row in connection.execute(_EMAILS, asked)}
    return retention.parameters(
        scope, [one.account | {"email": emails.get(one.id)} for one in group]
    )


def subjects(connection: Connection, group: Sequence[Taken], secret: str | None) -> Subjects:
    """`secret`: of the pseudonyms."""
    return Subjects(
        scope=group[0].scope,
        numbers=[one.id for one in group],
        values=parameters(connection, group),
        pseudonyms=[_pseudonym(one, secret) for one in group],
    )


def _pseudonym(taken: Taken, secret: str | None) -> str:
    """The same for the same account as long as the secret is; without one it is of no use to
    anybody."""
    if not secret:
        return token_hex(16)
    account = f"{taken.business_id}\0{taken.user_id}".encode()
    return hmac.new(secret.encode(), b"erased\0" + account, sha256).hexdigest()[:32]


def access(connection: Connection, subjects: Subjects) -> Counts:
    """Sessions, mailboxes with what was read from them, and files: from here on nobody comes in,
    and nothing is read any more. What the store holds of it is noted down."""
    collecting = _COLLECT.format(who=retention.WHO, keys=_KEYS[subjects.scope])
    files = _per_number(connection, text(collecting), subjects)
    counts = _run(connection, subjects, "access")
    return {number: {**of, "files": files.get(number, 0)} for number, of in counts.items()}


def archive(connection: Connection, subjects: Subjects) -> Counts:
    """The accounting records of a business that goes; those of a user's business stay with it."""
    if subjects.scope == "user":
        return {number: {} for number in subjects.numbers}
    archived = _per_number(connection, ARCHIVE, subjects)
    return {number: {"archived": archived.get(number, 0)} for number in subjects.numbers}


def children(connection: Connection, subjects: Subjects) -> Counts:
    """Everything else but the account."""
    return _run(connection, subjects, "children")


def parent(connection: Connection, subjects: Subjects) -> Counts:
    """The account, and with the last one the business; then the proof. Raises `Remains`."""
    counts = _run(connection, subjects, "parent")
    connection.execute(_PSEUDONYM, {**subjects.values, "pseudonyms": list(subjects.pseudonyms)})
    left = erasure_scan.found_of(connection, subjects.scope, subjects.values)
    if left:
        places = ", ".join(f"{place} ({count})" for place, count in sorted(left.items()))
        raise Remains(f"Il reste des données à effacer : {places}.")
    return counts


def _per_number(
    connection: Connection, statement: TextClause, subjects: Subjects
) -> dict[int, int]:
    rows = connection.execute(statement, subjects.values)
    return {row[0]: row[1] for row in rows}


def _run(connection: Connection, subjects: Subjects, phase: Phase) -> Counts:
    """What there is to do is asked for at once: somebody's view that cannot be written is not
    written where there is nothing to do. Raises `Moving`."""
    writes = list(retention.statements(subjects.scope, phase))
    counts: dict[int, Counter[str]] = {number: Counter() for number in subjects.numbers}
    asked: dict[int, dict[int, int]] = {}
    asking = retention.at_once([write.counted for write in writes])
    for nth, number, rows in connection.execute(text(asking), subjects.values):
        asked.setdefault(nth, {})[number] = rows
    for nth, expected in sorted(asked.items()):
        write = writes[nth]
        done = connection.execute(text(write.statement), subjects.values).rowcount
        if len(subjects.numbers) == 1:
            expected = {subjects.numbers[0]: done}
        elif done != sum(expected.values()):
            raise Moving(f"« {write.table.name} » change pendant l'effacement.")
        for number, rows in expected.items():
            counts[number][write.table.name] += rows
    return {number: dict(+of) for number, of in counts.items()}
