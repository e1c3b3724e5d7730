"""What an e-mail is to us: whose, an answer to what, and whether anybody has to be told. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.inbox.answers import Ours, answered, speaks_for
from chalicelib.domain.inbox.mails import Mail, Mailbox
from chalicelib.outbox.inbound import KNOWN_BY_ADDRESS
from chalicelib.webhooks.stop_words import opt_intent

# Local parts that no person reads or writes from.
_REPLY = r"[-_.]?(?:reply|repondre|reponse|respond|answer|antworten)"
_MACHINE = re.compile(
    rf"(?:.*[-_.])?(?:no|not|non|ne|ne[-_.]?pas|do[-_.]?not|nicht){_REPLY}(?:[-_.+].*)?"
    r"|mailer-?daemon|postmaster|bounces?(?:[-_.+=].*)?|notifications?|daemon|nobody"
)
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)


@dataclass(frozen=True)
class Meaning:
    """`customer`: the only customer that it can be from (or to); `candidates`: those who share the
    address when there are several. `answers`: the message of ours that it refers to; `genuine`: and
    it comes from whom that message was for. `person` and `known_by` as the domains take them, empty
    when nobody is known for certain. `reply`: somebody wrote to us just now. `opts_out`: and wrote
    nothing but STOP."""

    outgoing: bool
    customer: str | None
    candidates: Sequence[str]
    answers: Ours | None
    genuine: bool
    person: str
    known_by: str
    reply: bool
    opts_out: bool


def meaning(
    mail: Mail,
    box: Mailbox,
    ours: Mapping[str, Ours],
    at_address: Mapping[str, Sequence[str]],
    files: Mapping[str, frozenset[str]],
    of_leads: Collection[str] = (),
) -> Meaning:
    """`ours`: our messages by Message-ID; `at_address`: the customers of each address; `files`: the
    addresses of each customer to whom one of our messages was; `of_leads`: the addresses of
    leads."""
    # A copy of what left from here, wherever it was filed.
    own = ours.get(mail.message_id)
    outgoing = mail.outgoing or own is not None
    candidates = tuple(at_address.get(mail.correspondent, ()))
    answer = None if outgoing else answered(mail, ours)
    genuine = answer is not None and speaks_for(mail, answer, files)
    customer = candidates[0] if len(candidates) == 1 else None
    person, known_by = (customer, KNOWN_BY_ADDRESS) if customer else ("", "")
    if answer is not None and genuine and answer.person:
        # Of several customers at one address, whose message was answered; a customer who has
        # changed address since is still that customer.
        if answer.to_a_customer:
            customer = answer.person
        if answer.to_a_customer or not customer:
            person, known_by = answer.person, answer.kind
    personal = (
        not outgoing
        and mail.recent
        and mail.nature == "mail"
        and not (answer is not None and answer.to_the_business)
        and mail.from_email not in box.own
        and "@" in mail.from_email
        and not is_machine(mail.from_email)
    )
    return Meaning(
        outgoing=outgoing,
        customer=customer,
        candidates=candidates if len(candidates) > 1 else (),
        answers=answer,
        genuine=genuine,
        person=person,
        known_by=known_by,
        reply=personal and (answer is not None or bool(candidates) or mail.from_email in of_leads),
        opts_out=personal and says_stop(mail),
    )


def is_machine(address: str) -> bool:
    """Whether its local part says that nobody is there."""
    return _MACHINE.fullmatch(address.lower().rpartition("@")[0]) is not None


def says_stop(mail: Mail) -> bool:
    """Whether what was newly written is an opt-out and nothing else; of an e-mail without words,
    the subject, unless it is that of an answer."""
    words = _SIGNATURE.split(mail.snippet, maxsplit=1)[0].strip()
    if words:
        return opt_intent(words) == "opt_out"
    return not mail.is_answer and opt_intent(mail.subject) == "opt_out"
