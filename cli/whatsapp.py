"""`whatsapp`: the texts to have approved, the templates that they became, the businesses' numbers.

Nothing here asks a provider: a name that is wrong shows when the first message meets it.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.outbox import whatsapp_registry, whatsapp_texts
from chalicelib.outbox.whatsapp_registry import EVERYBODY, PROVIDERS
from cli import output
from cli.arguments import add_business, command, group
from cli.caller import user
from cli.source import database

_EVERYBODY = "toutes"


def register(subparsers: Any) -> None:
    actions = group(subparsers, "whatsapp", "textes, modèles approuvés et numéros WhatsApp")
    parser = command(actions, "text", "le texte à faire approuver par Meta ou Twilio", _text)
    parser.add_argument("kind", metavar="GENRE", help="billing.invoice_followup, par exemple")
    parser.add_argument("variant", metavar="TON", nargs="?", help="un seul de ses textes")

    templates = group(actions, "template", "sous quel nom chaque texte a été approuvé")
    parser = command(templates, "set", "enregistre un modèle approuvé", _set_template)
    _add_text(parser)
    parser.add_argument("name", metavar="NOM", help="nom chez Meta, Content SID chez Twilio")
    parser.add_argument("--language", metavar="LANGUE", default="fr", help="fr par défaut")
    add_business(parser)
    parser = command(templates, "remove", "oublie un modèle", _remove_template)
    _add_text(parser)
    add_business(parser)
    command(templates, "list", "les modèles enregistrés", _templates)

    senders = group(actions, "sender", "le numéro de chaque entreprise")
    parser = command(senders, "set", "donne son numéro à une entreprise", _set_sender)
    _add_provider(parser)
    parser.add_argument("sender", metavar="EXPÉDITEUR", help="+33…, MG…, ou phone number ID (Meta)")
    add_business(parser, required=True)
    parser = command(senders, "remove", "retire son numéro à une entreprise", _remove_sender)
    _add_provider(parser)
    add_business(parser, required=True)
    command(senders, "list", "les numéros des entreprises", _senders)


def _add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("provider", metavar="PRESTATAIRE", choices=PROVIDERS, help="twilio ou meta")


def _add_text(parser: argparse.ArgumentParser) -> None:
    _add_provider(parser)
    parser.add_argument("kind", metavar="GENRE", help="billing.invoice_followup, par exemple")
    parser.add_argument("variant", metavar="TON", help="rappel, ferme ou mise_en_demeure")


def _text(arguments: Namespace) -> int:
    folder = whatsapp_registry.folder_of(arguments.kind)
    chosen = [arguments.variant] if arguments.variant else whatsapp_texts.variants(folder)
    content = whatsapp_texts.sample(folder)
    data = []
    for variant in chosen:
        sample = whatsapp_texts.render(folder, variant, content)
        data.append(
            {
                "kind": arguments.kind,
                "variant": variant,
                "category": "UTILITY",
                "language": "fr",
                "body": whatsapp_texts.body(folder, variant),
                "variables": dict(
                    zip(whatsapp_texts.names(folder, variant), sample.variables, strict=True)
                ),
                "sample": sample.text,
            }
        )
    output.answer(arguments, data, _show_texts)
    return 0


def _set_template(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        whatsapp_registry.set_template(
            connection,
            provider=arguments.provider,
            kind=arguments.kind,
            variant=arguments.variant,
            name=arguments.name,
            language=arguments.language,
            business_id=arguments.business or EVERYBODY,
            by=user(),
        )
        found = whatsapp_registry.templates(connection)
    output.answer(arguments, found, _show_templates)
    return 0


def _remove_template(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        whatsapp_registry.remove_template(
            connection,
            provider=arguments.provider,
            kind=arguments.kind,
            variant=arguments.variant,
            business_id=arguments.business or EVERYBODY,
        )
        found = whatsapp_registry.templates(connection)
    output.answer(arguments, found, _show_templates)
    return 0


def _templates(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        found = whatsapp_registry.templates(connection)
    output.answer(arguments, found, _show_templates)
    return 0


def _set_sender(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        whatsapp_registry.set_sender(
            connection,
            provider=arguments.provider,
            sender=arguments.sender,
            business_id=arguments.business,
            by=user(),
        )
        found = whatsapp_registry.senders(connection)
    output.answer(arguments, found, _show_senders)
    return 0


def _remove_sender(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        whatsapp_registry.remove_sender(
            connection, provider=arguments.provider, business_id=arguments.business
        )
        found = whatsapp_registry.senders(connection)
    output.answer(arguments, found, _show_senders)
    return 0


def _senders(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        found = whatsapp_registry.senders(connection)
    output.answer(arguments, found, _show_senders)
    return 0


def _show_texts(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    for text in data:
        output.line(screen, f"{text['kind']}, {text['variant']}", "bold")
        output.line(screen, f"Catégorie {text['category']}, langue {text['language']}. Corps :\n")
        # As it is to be copied: its no-break spaces too, and not broken at the screen's width.
        screen.print(text["body"], soft_wrap=True)
        output.line(screen, "\nExemples de valeurs :")
        output.facts(
            screen,
            {
                f"{{{{{number}}}}} {name}": value
                for number, (name, value) in enumerate(text["variables"].items(), 1)
            },
        )
        output.line(screen)


def _show_templates(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    if not data:
        output.line(screen, "Aucun modèle : hors des 24 heures, rien ne part par WhatsApp.")
    output.table(
        screen,
        ("prestataire", "genre", "ton", "entreprise", "nom", "langue", "depuis", "par"),
        [
            (
                row["provider"],
                row["kind"],
                row["variant"],
                _EVERYBODY if row["business_id"] == EVERYBODY else row["business_id"],
                row["name"],
                row["language"],
                row["set_at"],
                row["set_by"],
            )
            for row in data
        ],
        shorten=("nom", "par"),
    )


def _show_senders(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    if not data:
        output.line(screen, "Aucun : toutes les entreprises écrivent du numéro de WHATSAPP_URL.")
    output.table(
        screen,
        ("prestataire", "expéditeur", "entreprise", "depuis", "par"),
        [
            (row["provider"], row["sender"], row["business_id"], row["set_at"], row["set_by"])
            for row in data
        ],
        shorten=("par",),
    )
