"""What demo and serve stand on: embedded PostgreSQL, SMTP and IMAP server processes, a Twilio
sandbox, our own HTTP routes (which Twilio calls back), and the settings that lead to them.

All data are in one folder, `var/`, which git ignores and `make clean` removes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url

from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from sandbox import clock, http, postgres, sample_whatsapp
from sandbox.imap import ImapSandbox
from sandbox.whatsapp_twilio import TwilioSandbox

ROOT = Path(__file__).parent.parent
VAR = ROOT / "var"
# Always the same: the links of a kept e-mail stay good.
LINK_SECRET = "bac-a-sable-liens-des-pages-0123456789"
UNSUBSCRIBE_SECRET = "bac-a-sable-desinscription-0123456789"
# The mailbox of the first sample business, on the IMAP sandbox.
MAILBOX_USER = "contact@menuiserie-perrin.example"
MAILBOX_KEYS = "YmFjLWEtc2FibGUtYm9pdGVzLWF1eC1sZXR0cmVzMTI="


@dataclass(frozen=True)
class Environment:
    """A running sandbox. `settings`: what leads a process of ours to it, as environment variables.
    `mails`: where the SMTP server keeps what it accepted; `control`: the JSON file of its faults;
    `documents`: the store of attachments."""

    folder: Path
    settings: Mapping[str, str]
    whatsapp: TwilioSandbox
    imap: ImapSandbox

    @property
    def public_url(self) -> str:
        """Where our HTTP routes are."""
        return self.settings["PUBLIC_URL"]

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
        with _engine(self.settings["DATABASE_URL"]) as engine:
            yield engine


@contextmanager
def running(name: str, *, fresh: bool, ports: Sequence[int] = (0,)) -> Iterator[Environment]:
    """Starts the sandbox `name` (its database and its folder under `var/`) and points this
    process's settings at it. `fresh` starts from an empty database and no message. HTTP is on the
    first free one of `ports`. Raises OSError when there is none."""
    import app  # reads the settings that lead here when it is called, not when it is imported

    folder = VAR / name
    if fresh:
        _forget(folder)
    with postgres.running(VAR / "postgres") as server:
        url = _database(server, f"ponctuel_{name}", fresh=fresh)
        with _engine(url) as engine:
            migrate(engine)
            with engine.begin() as connection:
                clock.install(connection)
                sample_whatsapp.register_templates(connection)
            with (
                _smtp(folder) as smtp_port,
                ImapSandbox(user=MAILBOX_USER) as imap,
                TwilioSandbox(
                    folder / "whatsapp",
                    templates=sample_whatsapp.templates(),
                    clock=lambda: clock.now(engine),
                ) as whatsapp,
                http.serving(app.app, ports) as port,
            ):
                documents = folder / "documents"
                documents.mkdir(parents=True, exist_ok=True)
                settings = {
                    "PONCTUEL_STAGE": "local",
                    "DATABASE_URL": url,
                    "MAIL_URL": f"smtp://127.0.0.1:{smtp_port}?tls=none",
                    "MAIL_FROM": "Ponctuel <relances@ponctuel.example>",
                    "WHATSAPP_URL": whatsapp.url,
                    "TWILIO_AUTH_TOKEN": whatsapp.token,
                    "PUBLIC_URL": f"http://127.0.0.1:{port}",
                    "LINK_SECRET": LINK_SECRET,
                    "UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
                    "STORAGE_URL": documents.as_uri(),
                    "MAILBOX_KEYS": MAILBOX_KEYS,
                    "INBOX_PRIVATE_HOSTS": "127.0.0.1",
                    "OPERATOR_EMAIL": "exploitation@ponctuel.example",
                }
                os.environ.update(settings)
                yield Environment(folder, settings, whatsapp, imap)


def _forget(folder: Path) -> None:
    """What was received before, and the faults that were asked for."""
    for old in (folder / "mails", folder / "whatsapp"):
        shutil.rmtree(old, ignore_errors=True)
    (folder / "smtp-faults.json").unlink(missing_ok=True)


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url, application="sandbox")
    try:
        yield engine
    finally:
        engine.dispose()


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
def _smtp(folder: Path) -> Iterator[int]:
    """The SMTP server, a process of its own, on a free port of this machine."""
    mails, port_file = folder / "mails", folder / "smtp-port"
    mails.mkdir(parents=True, exist_ok=True)
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sandbox.smtp", "--port", "0"]
    command += ["--folder", str(mails), "--port-file", str(port_file)]
    command += ["--control", str(folder / "smtp-faults.json")]
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
