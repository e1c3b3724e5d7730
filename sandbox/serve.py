"""`make serve`: HTTP and the schedules on this machine, with a sample to act on, until Ctrl-C.

Nothing leaves the machine: the SMTP and IMAP servers and WhatsApp's are the sandbox's own, the HTTP
server is on 127.0.0.1.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib import jobs
from chalicelib.errors import PonctuelError, SettingsError
from chalicelib.runner import triggers
from chalicelib.settings import settings
from sandbox.environment import MAILBOX_KEYS, ROOT, Environment, running
from sandbox.imap import PASSWORD
from sandbox.local_lambda import LocalLambda, LocalTrigger
from sandbox.scheduler import GRACE_S, Signals, ticking

LOOPBACK = "127.0.0.1"
FIRST_PORT = 8000
PORTS = range(FIRST_PORT, FIRST_PORT + 20)
PARIS = ZoneInfo("Europe/Paris")

_MOVED = text("""
UPDATE ponctuel.mailboxes SET port = :port WHERE host = :host AND address = :address
""")
_KNOWN = text("SELECT 1 FROM ponctuel.mailboxes WHERE host = :host AND address = :address")
_FIRST = text("SELECT 1 FROM ponctuel.businesses WHERE id = 'B1'")


def main() -> int:
    stop = Signals()
    print("Démarrage du bac à sable : PostgreSQL, serveurs d’e-mail, WhatsApp…", flush=True)
    try:
        with running("serve", fresh=False, ports=PORTS) as environment:
            loaded = _load_sample(environment)
            _open_mailbox(environment)
            with _told(environment), LocalLambda() as functions:
                triggers.install(LocalTrigger(functions))
                scheduler = ticking(functions)
                print(_welcome(environment, loaded), flush=True)
                scheduler.run(stop)
                print("Arrêt…", flush=True)
                functions.close(GRACE_S)
    except (PonctuelError, OSError) as error:
        print(f"Erreur : {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _load_sample(environment: Environment) -> int:
    """Fills an empty database with the sample businesses, live; returns how many it loaded."""
    with environment.engine() as engine, engine.begin() as connection:
        if connection.execute(text("SELECT count(*) FROM ponctuel.businesses")).scalar_one():
            return 0
        from sandbox import sample

        businesses = sample.build(datetime.now(UTC).astimezone(PARIS).date())
        sample.load(connection, businesses)
        for key, content in businesses.documents.items():
            path = environment.documents / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return _go_live(connection)


def _go_live(connection: Connection) -> int:
    """Mail only reaches the sandbox, so nothing has to be reviewed first."""
    from chalicelib.outbox.go_live import go_live

    names = list(connection.execute(text("SELECT id FROM ponctuel.businesses")).scalars())
    for name in (None, *names):
        go_live(connection, business_id=name, by="make serve", reason="bac à sable")
    return len(names)


def _open_mailbox(environment: Environment) -> None:
    """The first business's mailbox is on the sandbox's server, which is another one, and empty, at
    each start."""
    from chalicelib.mailboxes import directory
    from chalicelib.mailboxes.credentials import Keyring, Password

    server = environment.imap
    with environment.engine() as engine, engine.begin() as connection:
        connection.execute(_MOVED, {"port": server.port, "host": LOOPBACK, "address": server.user})
        known = connection.execute(_KNOWN, {"host": LOOPBACK, "address": server.user}).scalar()
        if known is None and connection.execute(_FIRST).scalar() is not None:
            mailbox = directory.NewMailbox(
                business_id="B1",
                address=server.user,
                host=LOOPBACK,
                port=server.port,
                security="none",
                auth="password",
                username=server.user,
                credentials=Password(PASSWORD),
            )
            directory.add(connection, mailbox, Keyring((MAILBOX_KEYS,)))


def _welcome(environment: Environment, loaded: int) -> str:
    url = environment.public_url
    curl, needed = _secret()
    sample = f"{loaded} entreprises d'exemple sont chargées.\n" if loaded else ""
    is_first = url.endswith(f":{FIRST_PORT}")
    taken = "" if is_first else f"Le port {FIRST_PORT} est pris, voici le suivant qui est libre.\n"
    folder = environment.folder.relative_to(ROOT)
    exports = _exports(environment).relative_to(ROOT)
    return f"""
Ponctuel tourne sur {url} ; rien ne quitte cette machine.
{taken}{sample}{needed}

  les jobs               {curl} {url}/jobs
  les relances, à blanc  {curl} {url}/jobs/followups/runs -d '{{"dry_run": true}}'
  les relances           {curl} {url}/followups/process-automatic
  les exécutions         {curl} {url}/jobs/followups/runs
  toutes les routes      {url}/openapi.json

  les e-mails partis     {folder}/mails ; ceux des devis ont un lien de désinscription
  les WhatsApp partis    {folder}/whatsapp/journal.jsonl

Dans un autre terminal, `source {exports}`, puis :

  les messages           ./ponctuel messages
  était-il parti ?       ./ponctuel messages show NUMÉRO
  répondre à sa place    .venv/bin/python -m sandbox.whatsapp_answer +33… STOP
                         .venv/bin/python -m sandbox.mail_answer NUMÉRO "Bonjour…"
  la boîte de B1         ./ponctuel mailbox list ; lue toutes les cinq minutes, et tout de suite
                         par ./ponctuel run inbox_sync
  et ce qu'il en reste   ./ponctuel inbound, ./ponctuel suppressions list

Les horaires tournent aussi ({len(jobs.NAMES)} jobs). Ctrl-C arrête tout ; les données restent dans
var/, que `make clean` efface.
"""


def _secret() -> tuple[str, str]:
    """How to call, and what is asked of callers."""
    calling = 'curl -H "Authorization: Bearer $CRON_SECRET"'
    try:
        secret = settings().cron_secret
    except SettingsError as error:
        return calling, f"Attention, tous les appels seront refusés : {error}"
    if secret is None:
        return "curl", "Aucun secret n'est demandé sur cette machine."
    return calling, "CRON_SECRET est défini : les appels doivent le porter."


def _exports(environment: Environment) -> Path:
    return environment.folder / "env"


@contextmanager
def _told(environment: Environment) -> Iterator[None]:
    """Keeps this sandbox's settings in a file that a shell can source, while they are true."""
    file = _exports(environment)
    lines = [f"export {name}={shlex.quote(told)}" for name, told in environment.settings.items()]
    file.write_text("\n".join(lines) + "\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
