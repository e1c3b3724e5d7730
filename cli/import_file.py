"""`import invoices`: an exported file into the database, with every reject and its reasons."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from cli import output
from cli.arguments import add_business, command, group
from cli.source import database


def register(subparsers: Any) -> None:
    actions = group(subparsers, "import", "reprend des données d'un autre logiciel")
    parser = command(actions, "invoices", "factures et clients d'un export CSV", _invoices)
    parser.add_argument("file", metavar="FICHIER.csv", type=Path)
    add_business(parser, required=True)
    parser.add_argument("--dry-run", action="store_true", help="à blanc : n'écrit rien")


def _invoices(arguments: Namespace) -> int:
    from cli.imports.store import import_invoices

    with database() as source, source.transaction() as connection:
        result = import_invoices(
            connection, arguments.business, arguments.file, dry_run=arguments.dry_run
        )
    data = asdict(result) | {"dry_run": arguments.dry_run}
    output.answer(arguments, data, _show)
    if not result.rejected:
        return 0
    return 2 if result.created + result.updated + result.unchanged else 1


def _show(screen: Console, data: dict[str, Any]) -> None:
    if data["dry_run"]:
        output.line(screen, "À blanc, rien n'est écrit", "bold")
    output.facts(
        screen,
        {
            "factures créées": data["created"],
            "factures mises à jour": data["updated"],
            "factures inchangées": data["unchanged"],
            "clients créés": data["customers_created"],
            "lignes de total ignorées": data["ignored"] or None,
            "lignes refusées": data["rejected"],
            "lignes sans numéro valable": len(data["remarks"]) or None,
        },
    )
    output.table(
        screen,
        ("ligne", "facture", "raison"),
        [(r["line"], r["number"], " ; ".join(r["reasons"])) for r in data["rejects"]],
        long="raison",
        shorten=("facture",),
    )
    if data["rejected"] > len(data["rejects"]):
        output.line(screen, f"Les {len(data['rejects'])} premières seulement.")
    if data["remarks"]:
        output.line(screen, "\nImportées, mais sans ce qui ne peut pas servir", "bold")
    output.table(
        screen,
        ("ligne", "facture", "sans"),
        [(r["line"], r["number"], " ; ".join(r["reasons"])) for r in data["remarks"]],
        long="sans",
        shorten=("facture",),
    )
