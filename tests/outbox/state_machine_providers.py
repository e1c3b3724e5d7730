"""The providers of the state machine: they remember what they have accepted, and answer as the test
says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.message_reference import number_of
from chalicelib.outbox.proofs import NOTED_WITHIN, Doubt, Found
from chalicelib.providers.mail import port as mail
from chalicelib.providers.mail.port import Mail
from chalicelib.providers.whatsapp import port as whatsapp

NAMES: Mapping[str, str] = {"email": "ses", "whatsapp": "twilio"}
REFUSALS: Mapping[str, dict[str, Any]] = {
    "refused": {"permanent": True, "code": "63013"},
    "opted_out": {"permanent": True, "code": "opt_out"},
    "not_now": {"permanent": False, "code": "451 4.3.0"},
    "throttled": {"permanent": False, "code": "throttled", "retry_after": 90.0},
    "template_paused": {"permanent": False, "code": "template_paused"},
}
UNKNOWN = ("answer_lost", "answer_lost", "never_arrived", "adapter_fails")
OUTCOMES = (*["accepted"] * 5, *UNKNOWN, *REFUSALS)


@dataclass
class Copy:
    """What a provider has accepted, once. `row`: the message that it is of."""

    provider_id: str
    row: int
    channel: str
    contact: str
    text: str
    message_id: str
    at: datetime


class Providers:
    """`copies`: what was accepted, oldest first. `blind`: what searches answer, per channel, in
    place of what there is: nothing (`empty`), or that they cannot (`unreachable`)."""

    def __init__(self, deployment: UUID, clock: Callable[[], datetime]) -> None:
        self.copies: list[Copy] = []
        self.blind: dict[str, str] = {}
        self._deployment = deployment
        self._clock = clock
        self._numbers = itertools.count(1)

    def answer(self, letter: Any, outcome: str) -> Any:
        """What a call comes to, one of `OUTCOMES`."""
        name = NAMES["email" if isinstance(letter, Mail) else "whatsapp"]
        if outcome in REFUSALS:
            raise ProviderError(name, "essai", **REFUSALS[outcome])
        if outcome == "never_arrived":
            raise OutcomeUnknown(name, "essai")
        taken = self.accept(letter)
        if outcome == "answer_lost":
            raise OutcomeUnknown(name, "essai")
        if outcome == "adapter_fails":
            raise RuntimeError("essai")
        if isinstance(letter, Mail):
            return mail.Accepted(taken.provider_id)
        return whatsapp.Accepted(taken.provider_id, "queued")

    def accept(self, letter: Any) -> Copy:
        """A provider takes the letter."""
        number = f"SM{next(self._numbers):032x}"
        row = number_of(letter.reference, self._deployment)
        assert row is not None
        if isinstance(letter, Mail):
            one = Copy(number, row, "email", letter.to[0], "", letter.message_id, self._clock())
        else:
            sent = letter.content
            said = sent.body if isinstance(sent, whatsapp.Text) else repr(sent.variables)
            one = Copy(number, row, "whatsapp", letter.recipient, said, "", self._clock())
        self.copies.append(one)
        return one

    def search(self, doubt: Doubt) -> Sequence[Found] | None:
        """What the provider says that it has."""
        blind = self.blind.get(doubt.channel, "visible")
        if blind != "visible":
            return None if blind == "unreachable" else ()
        if doubt.channel == "email":
            found = any(copy.message_id == doubt.message_id for copy in self.copies)
            return (Found("ses", "retrouvé"),) if found else ()
        details = doubt.whatsapp or {}
        said = repr(tuple(details["variables"])) if details.get("template") else doubt.text
        return [
            Found("twilio", "retrouvé", copy.provider_id)
            for copy in self.copies
            if (copy.channel, copy.contact, copy.text) == ("whatsapp", doubt.contact, said)
            and -timedelta(minutes=1) <= copy.at - doubt.called_at <= NOTED_WITHIN
        ]
