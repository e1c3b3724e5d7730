"""`make serve`: HTTP and the schedules on this machine, with a sample to act on, until Ctrl-C.

Nothing leaves the machine: the SMTP server and WhatsApp's are the sandbox's own, the HTTP server is
on 127.0.0.1.
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
from sandbox.environment import ROOT, Environment, running
from sandbox.local_lambda import LocalLambda, LocalTrigger
from sandbox.scheduler import GRACE_S, Signals, ticking

FIRST_PORT = 8000
PORTS = range(FIRST_PORT, FIRST_PORT + 20)
PARIS = ZoneInfo("Europe/Paris")


def main() -> int:
    stop = Signals()
    print("Démarrage du bac à sable : PostgreSQL, serveur d’e-mail, WhatsApp…", flush=True)
    try:
        with running("serve", fresh=False, ports=PORTS) as environment:
            loaded = _load_sample(environment)
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
