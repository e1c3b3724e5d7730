"""A deployed stage as a source."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from chalicelib.errors import NotFound
from chalicelib.outbox.contacts import Channel
from cli.caller import user
from cli.installation import Row
from cli.remote.address import address
from cli.remote.client import Client, StageError
from cli.remote.plain import detail, plain, run, snake

OTHER_VERSION = StageError(
    "L'étape répond, mais pas comme cette version-ci l'attend : c'est une autre version, ou un "
    "autre service. Déployez cette version, ou corrigez l'adresse."
)


@dataclass(frozen=True)
class Stage:
    """Asks the routes of `chalicelib/routes`."""

    client: Client

    def jobs(self) -> list[Row]:
        return list(plain(_listed(self.client.get("/jobs"), "jobs")))

    def runs(self, job: str | None, limit: int) -> list[Row]:
        path = "/runs" if job is None else f"/jobs/{quote(job, safe='')}/runs"
        return [run(row) for row in _listed(self.client.get(path, {"limit": limit}), "runs")]

    def run(self, wanted: str) -> Row:
        number = wanted.lstrip("#")
        if not number:
            raise NotFound("Aucune exécution ne porte ce numéro.")
        return detail(self.client.get(f"/runs/{quote(number, safe='')}"))

    def messages(self, where: Mapping[str, object], limit: int) -> Row:
        answer = self.client.get("/messages", {**_query(where), "limit": limit})
        return {name: plain(_listed(answer, name)) for name in ("counts", "messages")}

    def message(self, number: int) -> Row:
        found = _without_success(self.client.get(f"/messages/{number}"))
        if found.get("id") != number:
            raise OTHER_VERSION
        return found

    def act(self, verb: str, ids: Sequence[int], reason: str) -> Row:
        return self._acted(verb, {"ids": list(ids), "reason": reason})

    def release_kind(self, business_id: str, kind: str, reason: str) -> Row:
        return self._acted("release", {"business": business_id, "kind": kind, "reason": reason})

    def go_live(
        self, business_id: str | None, kind: str | None, reason: str, *, discard: bool
    ) -> Row:
        asked = {"business": business_id, "kind": kind, "reason": reason, "discard": discard}
        return _without_success(self.client.post("/go-live", asked | {"by": user()}))

    def decide(
        self, decision: str, document: str, number: str, business_id: str | None, reason: str
    ) -> Row:
        asked: Row = {"decision": decision, "document": document, "number": number}
        asked |= {"business": business_id, "reason": reason, "by": user()}
        return _without_success(self.client.post("/followups/decisions", asked))

    def deletions(self, where: Mapping[str, object], limit: int) -> list[Row]:
        answer = self.client.get("/deletions", {**_query(where), "limit": limit})
        return list(plain(_listed(answer, "deletions")))

    def deletion(self, user_id: str, business_id: str | None) -> Row:
        return _one(self.client.get(_deletion_of(user_id), {"business": business_id}))

    def request_deletion(self, user_id: str, business_id: str | None) -> Row:
        asked = {"business": business_id, "by": "operator"}
        return _one(self.client.post(_deletion_of(user_id), asked))

    def cancel_deletion(self, user_id: str, business_id: str | None) -> Row:
        asked = {"business": business_id, "by": "operator"}
        return _one(self.client.delete(_deletion_of(user_id), asked))

    def approve_deletions(self, ids: Sequence[int]) -> Row:
        asked = {"ids": list(ids), "by": user()}
        answer = self.client.post("/deletions/approve", asked)
        return {name: _listed(answer, name) for name in ("approved", "left")}

    def holds(self, where: Mapping[str, object], limit: int) -> list[Row]:
        asked = _query(where) | {"limit": limit}
        asked["lifted"] = "1" if where.get("lifted") else None
        return list(plain(_listed(self.client.get("/holds", asked), "holds")))

    def place_hold(self, business_id: str, user_id: str | None, reason: str) -> Row:
        asked = {"business": business_id, "user": user_id, "reason": reason, "by": user()}
        return _one(self.client.post("/holds", asked), "hold")

    def lift_hold(self, number: int, reason: str) -> Row:
        asked = {"reason": reason, "by": user()}
        return _one(self.client.post(f"/holds/{number}/lift", asked), "hold")

    def suppressions(
        self, where: Mapping[str, str | None], *, lifted: bool, limit: int
    ) -> list[Row]:
        asked = {**_query(where), "lifted": "1" if lifted else None, "limit": limit}
        return list(plain(_listed(self.client.get("/suppressions", asked), "suppressions")))

    def suppress(
        self,
        business_id: str,
        channel: Channel,
        contacts: Sequence[str],
        *,
        category: str,
        person: str,
        reason: str,
    ) -> Row:
        asked: Row = {"business": business_id, "channel": channel, "contacts": list(contacts)}
        asked |= {"category": category, "person": person, "reason": reason, "by": user()}
        return _without_success(self.client.post("/suppressions", asked))

    def lift_suppressions(self, ids: Sequence[int], reason: str) -> Row:
        asked = {"ids": list(ids), "reason": reason, "by": user()}
        answer = self.client.post("/suppressions/lift", asked)
        return {name: _listed(answer, name) for name in ("lifted", "left")}

    def consents(self, where: Mapping[str, str | None], limit: int) -> list[Row]:
        answer = self.client.get("/consents", {**_query(where), "limit": limit})
        return list(plain(_listed(answer, "consents")))

    def grant_consent(
        self, business_id: str, channel: Channel, contact: str, *, source: str, person: str
    ) -> Row:
        asked = {"business": business_id, "channel": channel, "contact": contact}
        asked |= {"source": source, "person": person, "by": user()}
        return _without_success(self.client.post("/consents", asked))

    def withdraw_consent(self, business_id: str, channel: Channel, contact: str) -> Row:
        asked = {"business": business_id, "channel": channel, "contact": contact, "by": user()}
        return _without_success(self.client.post("/consents/withdraw", asked))

    def inbound(self, where: Mapping[str, object], limit: int) -> list[Row]:
        answer = self.client.get("/inbound", {**_query(where), "limit": limit})
        return list(plain(_listed(answer, "inbound")))

    def channels(self) -> list[Row]:
        return list(plain(_listed(self.client.get("/channels"), "channels")))

    def limits(self, business_id: str | None) -> list[Row]:
        return list(plain(_listed(self.client.get("/limits", {"business": business_id}), "limits")))

    def set_limits(
        self, business_id: str, channel: str, changed: Mapping[str, int | None]
    ) -> list[Row]:
        asked = {"business": business_id, "channel": channel, **changed, "by": user()}
        return list(plain(_listed(self.client.post("/limits", asked), "limits")))

    def _acted(self, verb: str, asked: Row) -> Row:
        """Also what was left, when nothing was changed."""
        answer = self.client.post(f"/messages/{verb}", asked | {"by": user()})
        return {name: plain(_listed(answer, name)) for name in ("changed", "left")}

    def explain(
        self, document: str, number: str, business_id: str | None, *, force: bool
    ) -> list[Row]:
        asked = {"document": document, "number": number, "business": business_id}
        found = self.client.get("/followups/explain", asked | ({"force": "1"} if force else {}))
        return list(plain(_listed(found, "documents")))

    def explain_lead(self, id: str, business_id: str | None, *, force: bool) -> list[Row]:
        asked = {"id": id, "business": business_id} | ({"force": "1"} if force else {})
        return list(plain(_listed(self.client.get("/leads/explain", asked), "leads")))

    def leads(
        self, where: Mapping[str, str | None], *, due: bool, paused: bool, limit: int
    ) -> list[Row]:
        asked = {**_query(where), "limit": limit}
        asked |= {name: "1" for name, on in (("due", due), ("paused", paused)) if on}
        return list(plain(_listed(self.client.get("/leads", asked), "leads")))

    def pause_lead(self, id: str, business_id: str | None, until: date | None, reason: str) -> Row:
        asked: Row = {"id": id, "business": business_id, "reason": reason, "by": user()}
        asked["until"] = None if until is None else until.isoformat()
        return _without_success(self.client.post("/leads/pause", asked))

    def resume_lead(self, id: str, business_id: str | None, reason: str) -> Row:
        asked = {"id": id, "business": business_id, "reason": reason, "by": user()}
        return _without_success(self.client.post("/leads/resume", asked))

    def closer_link(self, closer: str, business_id: str | None) -> Row:
        asked = {"closer": closer, "business": business_id}
        return _without_success(self.client.post("/closers/link", asked))

    def revoke_closer_links(self, closer: str, business_id: str | None) -> Row:
        asked = {"closer": closer, "business": business_id, "by": user()}
        return _without_success(self.client.post("/closers/revoke", asked))

    def pending(self, business_id: str | None, limit: int) -> Row:
        asked = {"business": business_id, "limit": limit}
        answer = self.client.get("/followups/pending", asked)
        return {snake(name): plain(_listed(answer, name)) for name in ("toHandle", "stuck")}

    def quarantine(self, limit: int) -> list[Row]:
        return list(plain(_listed(self.client.get("/quarantine", {"limit": limit}), "items")))

    def pause(self, job: str, reason: str) -> list[str]:
        return self._changed(job, "pause", {"reason": reason})

    def resume(self, job: str) -> list[str]:
        return self._changed(job, "resume", {})

    def _changed(self, job: str, verb: str, body: Mapping[str, object]) -> list[str]:
        answer = self.client.post(f"/jobs/{quote(job, safe='')}/{verb}", body)
        if "zones" in answer:
            return list(_listed(answer, "zones"))
        # A version without it lists them with the job.
        return [state["zone"] for state in _listed(answer.get("job") or {}, "states")]


@contextmanager
def stage(arguments: Namespace) -> Iterator[Stage]:
    """The stage of `--stage` and `--url`. Raises `PonctuelError`."""
    client = Client(address(arguments))
    try:
        yield Stage(client)
    finally:
        client.close()


def _deletion_of(user_id: str) -> str:
    return f"/users/{quote(user_id, safe='')}/deletion"


def _one(answer: Row, name: str = "deletion") -> Row:
    """The only thing in an answer. Raises `StageError`, as `_listed`."""
    found = plain(answer.get(name))
    if not isinstance(found, dict):
        raise OTHER_VERSION
    return found


def _query(where: Mapping[str, object]) -> Row:
    """Filters as the routes name and read them."""
    return {
        "business" if name == "business_id" else name: value.isoformat()
        if isinstance(value, datetime)
        else value
        for name, value in where.items()
    }


def _without_success(answer: Row) -> Row:
    return {name: value for name, value in plain(answer).items() if name != "success"}


def _listed(answer: Row, name: str) -> list[Any]:
    """A list of the answer. Raises `StageError` when whoever answers is no Ponctuel of ours."""
    found = answer.get(name)
    if not isinstance(found, list):
        raise OTHER_VERSION
    return found
