"""Where proof is looked for that a message was accepted, and when what is found is proof.

A source tells what the provider has that could be the message. It is proof when exactly one thing
is left that no other message can claim; anything less proves nothing, either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import logs
from chalicelib.errors import ProviderError
from chalicelib.providers.whatsapp.codes import meaning
from chalicelib.providers.whatsapp.port import (
    Template,
    Text,
    Trace,
    WhatsAppMessage,
    WhatsAppProvider,
)
from chalicelib.runner.deadline import Deadline
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.providers.imap.sent_folder import SentFolder

# A provider notes a message within our call, or never: begun 65 s after *submitting* at the latest,
# it lasts no longer than that, and the provider's clock is not ours.
NOTED_WITHIN = timedelta(minutes=5)
# Two calls whose traces could be taken for each other's.
APART = NOTED_WITHIN + timedelta(minutes=1)

# What Twilio calls a message that came to nothing (the message resource's statuses).
_CAME_TO_NOTHING = frozenset({"failed", "undelivered", "canceled"})


@dataclass(frozen=True)
class Doubt:
    """An uncertain message. `called_at` and `leased_until` are aware; `text` and `whatsapp` are as
    in `message_bodies`. `due`: false for one that is only looked at because what is found could be
    its own."""

    id: int
    kind: str
    channel: str
    provider: str | None
    contact: str | None
    message_id: str | None
    called_at: datetime
    proofs: int
    due: bool
    leased_until: datetime | None
    text: str | None = field(repr=False)
    whatsapp: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True)
class Found:
    """What a provider has. `where` is French, for the message's history. `error_code` and `error`
    (French) say why it came to nothing, None if it did not."""

    provider: str
    where: str
    provider_id: str | None = None
    error_code: str | None = None
    error: str | None = None


Search = Mapping[int, Sequence[Found] | None]
"""By message, what a provider has that could be it: empty where it has nothing, None where it could
not be asked or offers no search. A message that was not come to in time is left out."""


class ProofSource(Protocol):
    channel: str

    def search(self, doubts: Sequence[Doubt], deadline: Deadline) -> Search:
        """Searches for these messages of this channel, and begins nothing that could outlast the
        deadline. Raises nothing of the provider's."""
        ...


def sources(settings: Settings) -> tuple[ProofSource, ...]:
    """What this stage can search; nothing is connected yet. Raises `SettingsError`."""
    found: list[ProofSource] = []
    if settings.sent_folder_url is not None:
        from chalicelib.providers.imap.sent_folder import SentFolder

        found.append(SentMail(SentFolder(settings.sent_folder_url.url)))
    if settings.whatsapp_url is not None:
        from chalicelib.providers.whatsapp import open_whatsapp

        found.append(WhatsAppTraces(open_whatsapp(settings.whatsapp_url.url)))
    return tuple(found)


class SentMail:
    """E-mail over SMTP: our Message-ID in the account's Sent folder."""

    channel = "email"

    def __init__(self, folder: SentFolder) -> None:
        self._folder = folder

    def search(self, doubts: Sequence[Doubt], deadline: Deadline) -> Search:
        """See `ProofSource.search`. All at once, over one connection."""
        # A dead process has not said which provider it called. SES keeps no such folder.
        asked = {d.id: d.message_id for d in doubts if d.provider in (None, "smtp")}
        ids = {message_id for message_id in asked.values() if message_id}
        if not ids:
            return dict.fromkeys((doubt.id for doubt in doubts), None)
        if deadline.near(self._folder.call_timeout):
            return {}
        try:
            sent = self._folder.find(ids)
        except ProviderError as error:
            logs.warning("proof_not_searched", channel=self.channel, code=error.code)
            return dict.fromkeys((doubt.id for doubt in doubts), None)
        proof = (Found("smtp", "retrouvé dans le dossier Envoyés"),)
        return {d.id: proof if asked.get(d.id) in sent else () for d in doubts}


class WhatsAppTraces:
    """WhatsApp: what the provider remembers of the recipient at the time of the call."""

    channel = "whatsapp"

    def __init__(self, open_provider: Callable[[], WhatsAppProvider]) -> None:
        self._open = open_provider

    def search(self, doubts: Sequence[Doubt], deadline: Deadline) -> Search:
        """See `ProofSource.search`. One question per message; after one that cannot be asked, for a
        reason that is not the message's own, none of the others is."""
        provider = self._open()
        found: dict[int, Sequence[Found] | None] = {}
        reachable = True
        try:
            for doubt in doubts:
                if reachable and deadline.near(provider.call_timeout):
                    break
                try:
                    found[doubt.id] = self._traces(provider, doubt) if reachable else None
                except ProviderError as error:
                    logs.warning("proof_not_searched", message=doubt.id, code=error.code)
                    found[doubt.id] = None
                    reachable = error.permanent
        finally:
            provider.close()
        return found

    def _traces(self, provider: WhatsAppProvider, doubt: Doubt) -> tuple[Found, ...] | None:
        message = _message(doubt)
        if message is None or doubt.provider not in (None, provider.name):
            return None
        traces = provider.find(message, doubt.called_at)
        if traces is None:
            return None
        latest = doubt.called_at + NOTED_WITHIN
        return tuple(_found(provider.name, trace) for trace in traces if trace.created_at <= latest)


def judge(found: Search, owners: Mapping[str, Collection[int]]) -> dict[int, Found]:
    """The proofs among what was found, by message. `owners`: the messages that have a provider's id
    already, by that id.

    Nothing that two messages could claim is anybody's: to know that both left, each would have to
    have one of its own.
    """
    left = {
        message: [one for one in several or () if not _owned(one, message, owners)]
        for message, several in found.items()
    }
    claimed = Counter(one.provider_id for several in left.values() for one in several)
    return {
        message: several[0]
        for message, several in left.items()
        if len(several) == 1
        and (several[0].provider_id is None or claimed[several[0].provider_id] == 1)
    }


def _owned(one: Found, message: int, owners: Mapping[str, Collection[int]]) -> bool:
    return one.provider_id is not None and any(
        owner != message for owner in owners.get(one.provider_id, ())
    )


def _message(doubt: Doubt) -> WhatsAppMessage | None:
    """The message as it was sent, None where that is not kept (any more)."""
    if not doubt.contact or doubt.text is None:
        return None
    sent = doubt.whatsapp or {}
    content: Text | Template = Text(doubt.text)
    if sent.get("template"):
        variables = sent.get("variables") or ()
        content = Template(
            str(sent["template"]),
            str(sent.get("language") or "fr"),
            variables if isinstance(variables, dict) else tuple(map(str, variables)),
        )
    return WhatsAppMessage(str(doubt.id), doubt.contact, content, sender=sent.get("sender"))


def _found(provider: str, trace: Trace) -> Found:
    where = f"retrouvé chez {provider.capitalize()}"
    if trace.error_code is None and trace.state not in _CAME_TO_NOTHING:
        return Found(provider, where, trace.provider_id)
    code = meaning(provider, trace.error_code or trace.state).code
    error = f"{provider.capitalize()} l'avait accepté, puis ne l'a pas remis ({code})."
    return Found(provider, where, trace.provider_id, code, error)
