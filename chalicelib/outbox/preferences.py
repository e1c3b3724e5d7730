"""What somebody who holds an unsubscribe link may choose: which messages of a business go on.

A choice is about the kind of message, not about where it arrives: it holds for the addresses of the
message that carried the link, and for the person on every channel. So it works too once retention
has blanked the message. Only kinds that may be refused are offered; an entry is for one of them or
for all marketing, never for every message: invoices must still reach who unsubscribed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox import consents, go_live, suppressions
from chalicelib.outbox.contacts import CHANNELS, Channel, normalised
from chalicelib.outbox.kinds import Kind, load
from chalicelib.outbox.suppressions import EVERYTHING, MARKETING, Suppression
from chalicelib.outbox.unsubscribe import Subscription
from chalicelib.providers.mail.addresses import parse_addresses

MARKETING_TITLE = "Offres et nouveautés"
# Of a kind that this code does not know (any more).
UNKNOWN_TITLE = "Messages comme celui que vous avez reçu"

# A number alone may be another message's, after a restore: it has to be that person's too.
_READER = text("""
SELECT m.channel, m.contact, m.recipient,
       (SELECT coalesce(nullif(trim(b.sender_name), ''), nullif(trim(b.name), ''))
          FROM ponctuel.businesses b WHERE b.id = :business_id LIMIT 1) AS business,
       (SELECT coalesce(jsonb_agg(k.kind), '[]') FROM (
          SELECT kind FROM ponctuel.messages
           WHERE business_id = :business_id AND person = :person AND person <> ''
             AND submitting_at IS NOT NULL
          UNION
          SELECT kind FROM ponctuel.messages
           WHERE business_id = :business_id AND contact = m.contact AND submitting_at IS NOT NULL
       ) k) AS kinds
  FROM (SELECT 1) AS one
  LEFT JOIN ponctuel.messages m
    ON m.id = :message_id AND m.business_id = :business_id AND m.person = :person
""")
# As `permissions` judges a message.
_STATES = text("""
WITH m AS (
  SELECT CAST(:business_id AS text) AS business_id, CAST(:channel AS text) AS channel,
         CAST(:person AS text) AS person, x.value AS contact
    FROM jsonb_array_elements_text(CAST(:contacts AS jsonb)) AS x
), against AS (
  SELECT s.category, bool_or(s.reason <> 'unsubscribe') AS kept
    FROM ponctuel.suppressions s JOIN m
      ON s.channel = m.channel AND s.business_id IN (m.business_id, '*')
     AND (s.contact = m.contact
          OR (s.reason = 'unsubscribe' AND s.person <> '' AND s.person = m.person
              AND s.business_id = m.business_id))
   WHERE s.lifted_at IS NULL
   GROUP BY s.category
)
SELECT (SELECT coalesce(jsonb_object_agg(category, kept), '{}') FROM against) AS stopped,
       EXISTS (SELECT 1 FROM ponctuel.consents c JOIN m ON c.contact = m.contact
                WHERE c.business_id = m.business_id AND c.channel = m.channel
                  AND c.withdrawn_at IS NULL) AS consented
""")


@dataclass(frozen=True)
class Reader:
    """Who holds the link. `business`: its name, None if it is gone; `contacts`: where the message
    went, none when that is forgotten; `kinds`: what they got from this business so far."""

    subscription: Subscription
    business: str | None
    channel: Channel
    contacts: tuple[str, ...]
    kinds: frozenset[str]

    @property
    def addresses(self) -> list[tuple[Channel, str]]:
        return [(self.channel, contact) for contact in self.contacts]

    @property
    def source(self) -> str:
        return f"unsubscribe:{self.subscription.message_id}"


@dataclass(frozen=True)
class Choice:
    """`stopped`: these messages do not leave; `can_resume`: the reader may change that, because it
    was they who unsubscribed."""

    category: str
    title: str
    stopped: bool
    can_resume: bool


@dataclass(frozen=True)
class Preferences:
    """`own`: what the link is about; `others`: what else they got; `all_stopped`: nothing is left
    to refuse, kinds that they never got included."""

    own: Choice
    others: tuple[Choice, ...]
    all_stopped: bool

    def __iter__(self) -> Iterator[Choice]:
        return iter((self.own, *self.others))


def reader(connection: Connection, subscription: Subscription) -> Reader:
    """Raises `NotFound` when neither an address nor a person is left to be found by."""
    values = {
        "business_id": subscription.business_id,
        "person": subscription.person,
        "message_id": subscription.message_id,
    }
    row = dict(connection.execute(_READER, values).mappings().one())
    channel: Channel = row["channel"] or "email"
    found = Reader(
        subscription, row["business"], channel, _contacts(channel, row), frozenset(row["kinds"])
    )
    if not found.contacts and not subscription.person:
        raise NotFound(
            "Ce lien est trop ancien : l'adresse à laquelle le message est parti a été effacée. "
            "Écrivez à l'entreprise qui vous l'a envoyé.",
            code="recipient",
        )
    return found


def preferences(connection: Connection, who: Reader) -> Preferences:
    """What they may choose about, as it stands."""
    own = who.subscription
    values = {
        "business_id": own.business_id,
        "person": own.person,
        "channel": who.channel,
        "contacts": json.dumps(list(who.contacts) or [""]),
    }
    row = connection.execute(_STATES, values).mappings().one()
    stopped: Mapping[str, bool] = row["stopped"]

    def choice(category: str, title: str) -> Choice:
        refused = stopped.keys() & {category, EVERYTHING}
        # Without a consent nothing leaves; only one that has an address can be given anew.
        lacking = category == MARKETING and not row["consented"]
        theirs = EVERYTHING not in refused and not stopped.get(category, False)
        can_resume = theirs and (category != MARKETING or bool(who.contacts))
        return Choice(category, title, bool(refused) or lacking, can_resume)

    first, *others = (choice(category, title) for category, title in _offered(who).items())
    all_stopped = EVERYTHING in stopped or _refusable(who) <= stopped.keys()
    return Preferences(first, tuple(others), all_stopped)


def stop(connection: Connection, who: Reader, categories: Iterable[str]) -> None:
    """They want no more of these; harmless when it is so already."""
    own, refused = who.subscription, sorted(set(categories))
    elsewhere: list[tuple[Channel, str]] = [
        (channel, "")
        for channel in CHANNELS
        if own.person and not (channel == who.channel and who.contacts)
    ]
    suppressions.suppress(
        connection,
        [
            Suppression(
                own.business_id, channel, contact, "unsubscribe", category, own.person, who.source
            )
            for channel, contact in (*who.addresses, *elsewhere)
            for category in refused
        ],
    )
    if MARKETING in refused:
        consents.withdraw_all(
            connection,
            business_id=own.business_id,
            person=own.person,
            contacts=who.addresses,
            by=who.source,
        )


def stop_all(connection: Connection, who: Reader) -> None:
    """No more of anything that may be refused, kinds that they never got included."""
    stop(connection, who, _refusable(who))


def resume(connection: Connection, who: Reader, category: str) -> None:
    """They want these again: what they unsubscribed from is lifted, and nothing else. For marketing
    that is a new consent."""
    own = who.subscription
    suppressions.resubscribe(
        connection,
        business_id=own.business_id,
        person=own.person,
        contacts=who.addresses,
        category=category,
        by=own.person or who.source,
        why=who.source,
    )
    if category == MARKETING:
        for channel, contact in who.addresses:
            consents.grant(
                connection,
                business_id=own.business_id,
                channel=channel,
                contact=contact,
                source=who.source,
                person=own.person,
            )


def _offered(who: Reader) -> dict[str, str]:
    """Category → title."""
    offered = {who.subscription.category: UNKNOWN_TITLE}
    known = [kind for name in sorted(who.kinds) if (kind := _known(name)) is not None]
    offered |= {kind.name: kind.title for kind in known if _may_be_refused(kind)}
    if MARKETING in offered or any(kind.category == MARKETING for kind in known):
        offered[MARKETING] = MARKETING_TITLE
    own = _known(who.subscription.category)
    if own is not None:
        offered[own.name] = own.title
    return offered


def _refusable(who: Reader) -> set[str]:
    """Categories, those of kinds that they never got included."""
    kinds = {kind.name for kind in go_live.all_kinds() if _may_be_refused(kind)}
    return kinds | {MARKETING} | _offered(who).keys()


def _may_be_refused(kind: Kind) -> bool:
    """One by one: marketing is refused as a whole."""
    return kind.unsubscribable and kind.category != MARKETING


def _known(name: str) -> Kind | None:
    try:
        return load(name)
    except NotFound:
        return None


def _contacts(channel: Channel, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the message went: to several addresses at once, sometimes."""
    found: Sequence[str] = [row["contact"] or "", row["recipient"] or ""]
    if channel == "email":
        found = [found[0], *parse_addresses(found[1])]
        return tuple(dict.fromkeys(address.lower() for address in found if address))
    if found[0] or not found[1]:
        return tuple(filter(None, found[:1]))
    try:
        return (normalised(channel, found[1]),)
    except BadRequest:
        return ()
