"""What demo and serve stand on: embedded PostgreSQL, an SMTP server process, the settings.

All data are in one folder, `var/`, which git ignores and `make clean` removes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url

from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from sandbox import clock, postgres

ROOT = Path(__file__).parent.parent
VAR = ROOT / "var"


@dataclass(frozen=True)
class Environment:
    """A running sandbox. `mails`: where the SMTP server keeps what it accepted; `control`: the JSON
    file of its faults; `documents`: the store of attachments."""

    url: str
    folder: Path

    @property
    def mails(self) -> Path:
        return self.folder / "mails"

    @property
    def control(self) -> Path:
        return self.folder / "smtp-faults.json"

    @property
    def documents(self) -> Path:
        return self.folder / "documents"

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        engine = make_engine(self.url, application="sandbox")
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def running(name: str, *, fresh: bool) -> Iterator[Environment]:
    """Starts the sandbox `name` (its database and its folder under `var/`) and points this
    process's settings at it. `fresh` starts from an empty database and no mail."""
    folder = VAR / name
    with postgres.running(VAR / "postgres") as server:
        url = _database(server, f"ponctuel_{name}", fresh=fresh)
        environment = Environment(url, folder)
        for needed in (environment.mails, environment.documents):
            needed.mkdir(parents=True, exist_ok=True)
        if fresh:
            for old in (*environment.mails.iterdir(), environment.control):
                old.unlink(missing_ok=True)
        with _smtp(environment) as port, environment.engine() as engine:
            migrate(engine)
            with engine.begin() as connection:
                clock.install(connection)
            os.environ.update(
                PONCTUEL_STAGE="local",
                DATABASE_URL=url,
                MAIL_URL=f"smtp://127.0.0.1:{port}?tls=none",
                MAIL_FROM="Ponctuel <relances@ponctuel.example>",
                STORAGE_URL=environment.documents.as_uri(),
                OPERATOR_EMAIL="exploitation@ponctuel.example",
            )
            yield environment


def _database(server: str, name: str, *, fresh: bool) -> str:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if fresh:
                connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            known = "SELECT 1 FROM pg_database WHERE datname = '" + name + "'"
            if connection.exec_driver_sql(known).first() is None:
                connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    finally:
        engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@contextmanager
def _smtp(environment: Environment) -> Iterator[int]:
    """The SMTP server, a process of its own, on a free port of this machine."""
    port_file = environment.folder / "smtp-port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sandbox.smtp", "--port", "0"]
    command += ["--folder", str(environment.mails), "--port-file", str(port_file)]
    command += ["--control", str(environment.control)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (port_file.exists() and port_file.read_text().strip()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the SMTP sandbox did not start")
            time.sleep(0.05)
        yield int(port_file.read_text())
    finally:
        process.terminate()
        process.wait(10)
