"""docs/bring-your-own-tables.md as a reader follows it: its SQL and its commands, in order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from tests.cli.command_line import Answer, CommandLine
from tests.contract.paths import ROOT
from tests.database import Database, Server
from tests.harness import Deployment, deployed

PAGE = ROOT / "docs" / "bring-your-own-tables.md"
ROLE = "ponctuel_app"
OWNERS = "-- as the owner of the database\n"
ROLES = f"-- as {ROLE}\n"


@dataclass(frozen=True)
class Block:
    """A fenced block: `sql` begins with who runs it."""

    language: str
    text: str


def blocks() -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return [Block(language, content) for language, content in found]


@dataclass
class Followed:
    """What the guide leaves: a deployment that runs as Ponctuel's role, and the owner's own
    connection to the same database."""

    deployment: Deployment
    owner: Database
    answers: dict[str, Answer] = field(default_factory=dict)

    def theirs(self, table: str) -> list[dict[str, object]]:
        """The rows of one of the owner's tables, as they are."""
        with self.owner.begin() as connection:
            rows = connection.execute(
                text(f"SELECT to_jsonb(t) FROM gestion.{table} t ORDER BY societe_id, id")
            )
            return [row[0] for row in rows]

    def as_owner(self, statement: str) -> None:
        with self.owner.begin() as connection:
            connection.execute(text(statement))


@contextmanager
def followed(
    server: Server,
    role: str,
    folder: Path,
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: str = "",
) -> Iterator[Followed]:
    """Follows the guide up to the command `before`, or to its end, on a database of its own. `role`
    takes the place of the guide's, because roles belong to the whole server."""
    with ExitStack() as stack:
        # Last in, first out: the role goes when the database and all it owns there are gone.
        stack.callback(server.execute, f"DROP ROLE IF EXISTS {role}")
        owner = stack.enter_context(server.database())
        with owner.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA ponctuel CASCADE")
        url = make_url(owner.url).set(username=role, password="change-me")
        entered = Database(owner.name, url.render_as_string(hide_password=False))
        stack.callback(entered.close)
        monkeypatch.setenv("DATABASE_URL", entered.url)
        guide = Followed(None, owner)  # type: ignore[arg-type]  # comes with `migrate`, below
        for block in blocks():
            content = block.text.replace(ROLE, role)
            if block.language == "sql":
                assert block.text.startswith((OWNERS, ROLES)), block.text
                whose = owner if block.text.startswith(OWNERS) else entered
                with whose.begin() as connection:
                    connection.exec_driver_sql(content)
                continue
            for line in content.splitlines():
                if line == before:
                    yield guide
                    return
                guide.answers[line] = command_line(*shlex.split(line)[1:])
                assert guide.answers[line].code == 0, (line, guide.answers[line])
                if line == "./ponctuel migrate":
                    guide.deployment = stack.enter_context(deployed(entered, folder, monkeypatch))
        yield guide
