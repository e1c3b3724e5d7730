"""What `check` looks at: settings, database, schema, clock, e-mail, documents, go-live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from chalicelib import jobs
from chalicelib.db.migrate import BRANCHES, FOLDER, revisions
from chalicelib.errors import PonctuelError
from chalicelib.settings import Settings, settings
from chalicelib.settings_check import problems
from cli.reachability import mail, storage
from cli.source import database

# The relations of the domain, for those who keep them elsewhere and made views.
RELATIONS = (
    "businesses",
    "billing_settings",
    "followup_levels",
    "customers",
    "invoices",
    "quotes",
    "followup_decisions",
)
NO_MAIL = "MAIL_URL n'est pas renseigné : rien ne part"
_MISSING = text("""
SELECT name FROM unnest(CAST(:names AS text[])) AS name
 WHERE to_regclass('ponctuel.' || name) IS NULL
""")
_CLOCK = text("""
SELECT btrim(prosrc) = 'SELECT pg_catalog.statement_timestamp()' FROM pg_proc
 WHERE oid = 'ponctuel.clock()'::regprocedure
""")
_LIVE = text("""
SELECT EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*'),
       (SELECT count(DISTINCT business_id) FROM ponctuel.go_lives WHERE business_id <> '*')
""")


@dataclass(frozen=True)
class Finding:
    """`problem`: something will not work. `note`: it works, and you should know how."""

    topic: str
    verdict: Literal["ok", "note", "problem"]
    text: str


def findings() -> list[Finding]:
    """Everything that can be looked at; what cannot be is a problem, and the rest goes on."""
    wrong = [
        Finding("réglages", "problem", problem) for problem in problems(settings(), jobs.NAMES)
    ]
    found = wrong or [Finding("réglages", "ok", "tous lisibles")]
    for look in (_database, _mail, _storage):
        try:
            found += look(settings())
        except PonctuelError as error:
            # A setting that cannot be read is already listed.
            if str(error) not in {finding.text for finding in found}:
                found.append(Finding(_TOPICS[look], "problem", str(error)))
    return found


def _database(current: Settings) -> Iterator[Finding]:
    with database("cli-check") as source:
        with source.transaction() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        yield Finding("base", "ok", f"PostgreSQL {version}")
        with source.transaction() as connection:
            yield from _schema(connection)
            yield _clock(connection, current)
            yield _live(connection, current)


def _schema(connection: Connection) -> Iterator[Finding]:
    present = revisions(connection)
    for branch in BRANCHES:
        newest = max(f"{branch}_{file.name[:4]}" for file in (FOLDER / branch).glob("0*.py"))
        have = max((r for r in present if r.startswith(branch)), default=None)
        if have is None and branch == "domain":
            yield _own_relations(connection)
        elif have is None or have < newest:
            yield Finding("schéma", "problem", f"{have} au lieu de {newest} : `./ponctuel migrate`")
        else:
            yield Finding("schéma", "ok", have)


def _own_relations(connection: Connection) -> Finding:
    missing = list(connection.execute(_MISSING, {"names": list(RELATIONS)}).scalars())
    if missing:
        names = ", ".join(f"ponctuel.{name}" for name in missing)
        return Finding("schéma", "problem", f"il manque les vues {names}, ou la branche domain")
    return Finding("schéma", "note", "les factures et devis sont dans vos propres vues")


def _clock(connection: Connection, current: Settings) -> Finding:
    if connection.execute(_CLOCK).scalar_one():
        return Finding("horloge", "ok", "celle du serveur")
    if current.is_local:
        return Finding("horloge", "note", "celle du bac à sable, qui se règle")
    return Finding(
        "horloge",
        "problem",
        "ponctuel.clock() a été remplacée : rétablissez la fonction de la migration",
    )


def _live(connection: Connection, current: Settings) -> Finding:
    stage, businesses = connection.execute(_LIVE).one()
    if not stage:
        allowed = current.allow_list
        count = len(allowed.addresses) + len(allowed.domains)
        return Finding(
            "mise en service",
            "note",
            f"l'étape {current.stage} n'est pas en service : seules les {count} entrées de "
            "ALLOW_LIST reçoivent (`./ponctuel go-live`)",
        )
    return Finding("mise en service", "ok", f"étape en service, {businesses} entreprise(s)")


def _mail(current: Settings) -> Iterator[Finding]:
    if current.mail_url is None:
        yield Finding("e-mail", "note", NO_MAIL)
    else:
        yield Finding("e-mail", "ok", mail(current.mail_url))


def _storage(current: Settings) -> Iterator[Finding]:
    if current.storage_url is None:
        yield Finding("documents", "note", "STORAGE_URL n'est pas renseigné : aucune pièce jointe")
    else:
        yield Finding("documents", "ok", storage(current.storage_url))


_TOPICS = {_database: "base", _mail: "e-mail", _storage: "documents"}
