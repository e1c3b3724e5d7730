"""What e-mails mean, once they are read: conversations, customers, answers, bounces.

Called after parsing, for one mailbox at a time, in the caller's transaction. Each e-mail is settled
once (`settled_at`); what it caused is committed with that. An e-mail that makes the statements
fail is set aside, and holds up no other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.db.sqlstate import CONFLICTS, database_error, sqlstate
from chalicelib.domain.billing.customers import addresses_of, at_addresses
from chalicelib.domain.inbox import answers, bounces, notices, replies, threads
from chalicelib.domain.inbox.decisions import Meaning, meaning
from chalicelib.domain.inbox.mails import Mail, Mailbox, mailbox, unsettled
from chalicelib.domain.inbox.threads import Place
from chalicelib.domain.leads import addresses as leads
from chalicelib.mailboxes.parameters import MAILBOX
from chalicelib.outbox import inbound

# In `emails.faults`: the e-mail was read, and what it means could not be told.
FAULT = "settling"

_WRITE = text(f"""
UPDATE ponctuel.emails e
   SET direction = n.direction, correspondent = n.correspondent, subject_key = n.subject_key,
       parent_id = n.parent_id, thread_id = n.thread_id, customer_id = n.customer_id,
       candidates = n.candidates, answers = n.answers,
       inbound_id = COALESCE(n.inbound_id, e.inbound_id), settled_at = ponctuel.clock()
  FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS n(id bigint, direction text, correspondent text, subject_key text, parent_id bigint,
         thread_id bigint, customer_id text, candidates text[], answers bigint, inbound_id bigint)
 WHERE e.id = n.id AND e.mailbox_id = {MAILBOX}
""")
_SET_ASIDE = text("""
UPDATE ponctuel.emails
   SET settled_at = ponctuel.clock(), thread_id = COALESCE(thread_id, id),
       faults = array_append(faults, :fault)
 WHERE id = :id
""")


def settle(connection: Connection, mailbox_id: int, limit: int) -> Counter[str]:
    """Settles at most `limit` of the mailbox's e-mails that were read and are not settled, those
    with the smallest ids first. Counts `settled`, `set_aside`, `matched` (to a customer), `replies`
    (offered to the domains), `notices` (planned), `bounces` (of ours), `opt_outs`; empty when
    nothing is left to do. Raises what the database raises when it is not there, or when another
    transaction is in the way: then nothing of it may be committed."""
    box = mailbox(connection, mailbox_id)
    if box is None:
        return Counter()
    batch = unsettled(connection, box, limit)
    return _settle_apart(connection, box, batch) if batch else Counter()


def _settle_apart(connection: Connection, box: Mailbox, batch: Sequence[Mail]) -> Counter[str]:
    """The batch; when it fails, its halves, down to the e-mail that is at fault."""
    try:
        with connection.begin_nested():
            return _settle(connection, box, batch)
    except Exception as error:  # per-item isolation: this e-mail, not the others
        if (
            connection.invalidated
            or database_error(error) is not None
            or sqlstate(error) in CONFLICTS
        ):
            raise
        if len(batch) == 1:
            logs.error("email_not_settled", email=batch[0].id, mailbox=box.id, error=error)
            connection.execute(_SET_ASIDE, {"id": batch[0].id, "fault": FAULT})
            return Counter(set_aside=1)
    middle = len(batch) // 2
    halves = (batch[:middle], batch[middle:])
    return sum((_settle_apart(connection, box, half) for half in halves), Counter())


def _settle(connection: Connection, box: Mailbox, batch: Sequence[Mail]) -> Counter[str]:
    told = [(mail, of) for mail, of in zip(batch, _meanings(connection, box, batch), strict=True)]
    places = threads.place(connection, box, batch)
    bounced = bounces.apply(connection, box, batch)
    kept = replies.keep(connection, box, told)
    opted_out = replies.opt_out(connection, box, told)
    _write(connection, box, told, places, bounced, kept)
    inbound.offer_all(connection, list(kept.values()))
    planned = notices.plan(connection, box, [places[id].thread_id for id in kept])
    counts = Counter(
        settled=len(batch),
        matched=sum(of.customer is not None for _, of in told),
        replies=len(kept),
        notices=planned,
        bounces=len(bounced),
        opt_outs=opted_out,
    )
    return Counter({name: count for name, count in counts.items() if count})


def _meanings(connection: Connection, box: Mailbox, batch: Sequence[Mail]) -> list[Meaning]:
    ids = {mail.message_id for mail in batch if mail.has_message_id}
    ours = answers.find(connection, box, ids.union(*(mail.cited for mail in batch)))
    correspondents = {mail.correspondent for mail in batch} - {""}
    at_address = at_addresses(connection, box.business_id, correspondents)
    of_leads = leads.known(connection, box.business_id, correspondents)
    files = addresses_of(connection, box.business_id, answers.people(ours.values()))
    return [meaning(mail, box, ours, at_address, files, of_leads) for mail in batch]


def _write(
    connection: Connection,
    box: Mailbox,
    told: Sequence[tuple[Mail, Meaning]],
    places: Mapping[int, Place],
    bounced: Mapping[int, int],
    kept: Mapping[int, int],
) -> None:
    rows = [
        {
            "id": mail.id,
            "direction": "out" if of.outgoing else "in",
            "correspondent": mail.correspondent,
            "subject_key": mail.subject_key,
            "parent_id": places[mail.id].parent_id,
            "thread_id": places[mail.id].thread_id,
            "customer_id": of.customer,
            "candidates": list(of.candidates),
            "answers": bounced.get(mail.id) or (of.answers.id if of.answers else None),
            "inbound_id": kept.get(mail.id),
        }
        for mail, of in told
    ]
    connection.execute(_WRITE, {"mailbox_id": box.id, "rows": json.dumps(rows)})
