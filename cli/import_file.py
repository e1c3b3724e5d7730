"""`import …`: an exported file into the database, with every reject and its reasons."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from cli import output
from cli.arguments import add_business, command, group
from cli.source import database

# Subject → its words for people: help, plural, one of them, and the end of participles.
SUBJECTS = {
    "invoices": ("factures et clients d'un export CSV", "factures", "facture", "es"),
    "users": ("utilisateurs d'un export CSV", "utilisateurs", "utilisateur", "s"),
    "leads": ("prospects d'un export CSV", "prospects", "prospect", "s"),
    "tasks": ("tâches d'un export CSV", "tâches", "tâche", "es"),
    "appointments": ("rendez-vous d'un export CSV", "rendez-vous", "rendez-vous", "s"),
}
# What may belong to one user as a whole.
AGENDA = {"tasks", "appointments"}


def register(subparsers: Any) -> None:
    actions = group(subparsers, "import", "reprend des données d'un autre logiciel")
    for subject, (told, *_) in SUBJECTS.items():
        parser = command(actions, subject, told, partial(_import, subject))
        parser.add_argument("file", metavar="FICHIER.csv", type=Path)
        add_business(parser, required=True)
        parser.add_argument("--dry-run", action="store_true", help="à blanc : n'écrit rien")
        if subject in AGENDA:
            parser.add_argument(
                "--user",
                default="",
                metavar="UTILISATEUR",
                help="à qui tout est, quoi qu'en dise le fichier : code, adresse ou nom",
            )


def _import(subject: str, arguments: Namespace) -> int:
    from cli.imports.agenda import import_appointments, import_tasks
    from cli.imports.people import import_leads, import_users
    from cli.imports.result import Counts
    from cli.imports.store import import_invoices

    imports: dict[str, Callable[..., Counts]] = {
        "invoices": import_invoices,
        "users": import_users,
        "leads": import_leads,
        "tasks": import_tasks,
        "appointments": import_appointments,
    }
    options = {"user": arguments.user} if subject in AGENDA else {}
    with database() as source, source.transaction() as connection:
        result = imports[subject](
            connection, arguments.business, arguments.file, dry_run=arguments.dry_run, **options
        )
    data = asdict(result) | {"dry_run": arguments.dry_run}
    output.answer(arguments, data, partial(_show, subject))
    if not result.rejected:
        return 0
    return 2 if result.created + result.updated + result.unchanged else 1


def _show(subject: str, screen: Console, data: dict[str, Any]) -> None:
    _, plural, one, end = SUBJECTS[subject]
    if data["dry_run"]:
        output.line(screen, "À blanc, rien n'est écrit", "bold")
    output.facts(
        screen,
        {
            f"{plural} créé{end}": data["created"],
            f"{plural} mis{'es' if end == 'es' else ''} à jour": data["updated"],
            f"{plural} inchangé{end}": data["unchanged"],
            "clients créés": data.get("customers_created"),
            "lignes ignorées (totaux, notes)": data["ignored"] or None,
            "lignes refusées": data["rejected"],
            "lignes importées avec une remarque": len(data["remarks"]) or None,
        },
    )
    output.table(
        screen,
        ("ligne", one, "raison"),
        [(r["line"], r["number"], " ; ".join(r["reasons"])) for r in data["rejects"]],
        long="raison",
        shorten=(one,),
    )
    if data["rejected"] > len(data["rejects"]):
        output.line(screen, f"Les {len(data['rejects'])} premières seulement.")
    if data["remarks"]:
        output.line(screen, "\nImportées, avec une remarque", "bold")
    output.table(
        screen,
        ("ligne", one, "remarque"),
        [(r["line"], r["number"], " ; ".join(r["reasons"])) for r in data["remarks"]],
        long="remarque",
        shorten=(one,),
    )
