"""`check`: settings, database, schema, tables or views, e-mail, documents. It writes nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console
from sqlalchemy import Connection

from chalicelib import jobs
from chalicelib.db.engine import STATEMENT_TIMEOUT_MS, snapshot
from chalicelib.domain.relations import RELATIONS
from chalicelib.errors import PonctuelError
from chalicelib.settings import Settings, settings
from chalicelib.settings_check import problems
from cli import check_schema, output
from cli.arguments import command, positive
from cli.check_finding import Finding, Reader
from cli.check_rows import rows
from cli.check_selection import selections
from cli.check_structure import structure
from cli.reachability import mail, storage
from cli.source import database

NO_MAIL = "MAIL_URL n'est pas renseigné : rien ne part"
# What a statement of a run is given.
SECONDS = STATEMENT_TIMEOUT_MS // 1000


def register(subparsers: Any) -> None:
    parser = command(
        subparsers, "check", "vérifie réglages, base, tables ou vues, e-mail et documents", _run
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDES",
        type=positive,
        default=SECONDS,
        help=f"temps laissé à chaque lecture ({SECONDS}, comme à une exécution)",
    )


def findings(seconds: float = SECONDS) -> list[Finding]:
    """Everything that can be looked at; what cannot be is a problem, and the rest goes on. Each
    statement on the domain's relations is given so many `seconds`."""
    wrong = [
        Finding("réglages", "problem", problem) for problem in problems(settings(), jobs.NAMES)
    ]
    found = wrong or [Finding("réglages", "ok", "tous lisibles")]
    for topic, look in (
        ("base", lambda current: _database(current, seconds)),
        ("e-mail", _mail),
        ("documents", _storage),
    ):
        try:
            for finding in look(settings()):
                found.append(finding)
        except PonctuelError as error:
            # A setting that cannot be read is already listed.
            if str(error) not in {finding.text for finding in found}:
                found.append(Finding(topic, "problem", str(error)))
    return found


def _database(current: Settings, seconds: float) -> Iterator[Finding]:
    with database("cli-check") as source:
        with snapshot(source.engine) as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        yield Finding("base", "ok", f"PostgreSQL {version}")
        yield from _schema(Reader(source.engine, seconds), current)


def _schema(reader: Reader, current: Settings) -> Iterator[Finding]:
    """The relations, the engine's own tables, the rows, and last the jobs' own SQL: each only where
    what it stands on is sound."""
    found = structure(reader, RELATIONS)
    yield from found.findings
    if not found.entered:
        return
    engine = reader.look(_rights, check_schema.unreadable)
    if not _stops(engine):
        engine = reader.look(partial(_engine, current), check_schema.unreadable)
    yield from engine
    yield from rows(reader, found.sound)
    if not _stops([*found.findings, *engine]):
        yield from selections(reader)


def _rights(connection: Connection) -> Iterator[Finding]:
    return check_schema.rights(connection, [relation.name for relation in RELATIONS])


def _engine(current: Settings, connection: Connection) -> Iterator[Finding]:
    yield from check_schema.versions(connection)
    yield check_schema.clock(connection, current)
    yield check_schema.live(connection, current)


def _stops(found: Sequence[Finding]) -> bool:
    return any(finding.verdict == "problem" for finding in found)


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


def _run(arguments: Namespace) -> int:
    found = findings(arguments.timeout)
    output.answer(arguments, [asdict(finding) for finding in found], _show)
    return int(_stops(found))


def _show(screen: Console, data: list[dict[str, Any]]) -> None:
    signs = {"ok": ("✓", "green"), "note": ("•", "yellow"), "problem": ("✗", "red")}
    for finding in data:
        sign, colour = signs[finding["verdict"]]
        output.line(screen, f"{sign} {finding['topic']} : {finding['text']}", colour)
        for line in finding["sql"].splitlines():
            output.line(screen, f"      {line}")
    count = sum(finding["verdict"] == "problem" for finding in data)
    output.line(screen, _conclusion(count, data))


def _conclusion(count: int, data: list[dict[str, Any]]) -> str:
    if count:
        return output.plural(count, "problème", "problèmes")
    if any(finding["text"] == NO_MAIL for finding in data):
        return "Aucun problème, mais aucun message ne peut partir : renseignez MAIL_URL."
    return "Tout est en ordre."
