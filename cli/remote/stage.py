"""A deployed stage as a source."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from chalicelib.errors import NotFound
from cli.remote.address import address
from cli.remote.client import Client
from cli.remote.plain import detail, plain, run

Row = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """Asks the routes of `chalicelib/routes`."""

    client: Client

    def jobs(self) -> list[Row]:
        return list(plain(self.client.get("/jobs")["jobs"]))

    def runs(self, job: str | None, limit: int) -> list[Row]:
        path = "/runs" if job is None else f"/jobs/{quote(job, safe='')}/runs"
        return [run(row) for row in self.client.get(path, {"limit": limit})["runs"]]

    def run(self, wanted: str) -> Row:
        number = wanted.lstrip("#")
        if not number:
            raise NotFound("Aucune exécution ne porte ce numéro.")
        return detail(self.client.get(f"/runs/{quote(number, safe='')}"))

    def messages(self, where: Mapping[str, str | None], limit: int) -> Row:
        asked = {"business" if name == "business_id" else name: where[name] for name in where}
        found: Row = plain(self.client.get("/messages", {**asked, "limit": limit}))
        return {name: found[name] for name in ("counts", "messages")}

    def message(self, number: int) -> Row:
        return _without_success(plain(self.client.get(f"/messages/{number}")))

    def explain(
        self, document: str, number: str, business_id: str | None, *, force: bool
    ) -> list[Row]:
        asked = {"document": document, "number": number, "business": business_id}
        found = self.client.get("/followups/explain", asked | ({"force": "1"} if force else {}))
        return list(plain(found["documents"]))

    def pending(self, business_id: str | None, limit: int) -> Row:
        asked = {"business": business_id, "limit": limit}
        return _without_success(plain(self.client.get("/followups/pending", asked)))

    def quarantine(self, limit: int) -> list[Row]:
        return list(plain(self.client.get("/quarantine", {"limit": limit})["items"]))

    def pause(self, job: str, reason: str) -> list[str]:
        return self._changed(job, "pause", {"reason": reason})

    def resume(self, job: str) -> list[str]:
        return self._changed(job, "resume", {})

    def _changed(self, job: str, verb: str, body: Mapping[str, object]) -> list[str]:
        answer = self.client.post(f"/jobs/{quote(job, safe='')}/{verb}", body)
        # A version without `zones` lists them with the job.
        known = [state["zone"] for state in answer["job"]["states"]]
        return list(answer.get("zones", known))


@contextmanager
def stage(arguments: Namespace) -> Iterator[Stage]:
    """The stage of `--stage` and `--url`. Raises `PonctuelError`."""
    client = Client(address(arguments))
    try:
        yield Stage(client)
    finally:
        client.close()


def _without_success(row: Row) -> Row:
    return {name: row[name] for name in row if name != "success"}
