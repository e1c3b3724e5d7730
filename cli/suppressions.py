"""`suppressions`: who must not be written to, on which channel, and why."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox import contact_lists
from chalicelib.outbox.contacts import WORDS
from chalicelib.outbox.suppressions import EVERYBODY, EVERYTHING, MARKETING, REASONS
from cli import output
from cli.arguments import add_business, add_reason, command, group, positive
from cli.contacts import add_channel, add_contact, asked
from cli.installation import Installation, Row
from cli.messages import title_of
from cli.source import opened

# Of a file that is wrong throughout, the first lines say enough.
REJECTS_LISTED = 1000


def register(subparsers: Any) -> None:
    actions = group(subparsers, "suppressions", "ceux à qui on ne doit plus écrire")
    parser = command(
        actions, "list", "les inscriptions, la plus récente d'abord", _list, remote=True
    )
    add_business(parser)
    add_channel(parser)
    add_contact(parser)
    parser.add_argument("--person", metavar="PERSONNE", help="identifiant du client")
    parser.add_argument("--all", action="store_true", help="aussi celles qui ont été levées")
    parser.add_argument("--limit", metavar="N", type=positive, default=50, help="50 par défaut")

    parser = command(
        actions, "add", "inscrit un contact : plus rien ne part vers lui", _add, remote=True
    )
    add_contact(parser, required=True)
    _add_scope(parser)
    parser.add_argument("--person", metavar="PERSONNE", default="", help="identifiant du client")
    add_reason(parser, required=True)

    parser = command(
        actions, "lift", "lève des inscriptions : on peut de nouveau écrire", _lift, remote=True
    )
    parser.add_argument(
        "ids", metavar="NUMÉRO", nargs="+", type=positive, help="numéros des inscriptions"
    )
    add_reason(parser, required=True)

    parser = command(
        actions, "import", "inscrit les contacts d'un fichier CSV", _import, remote=True
    )
    parser.add_argument("file", metavar="FICHIER.csv", type=Path)
    _add_scope(parser)
    add_reason(parser, required=False)


def _add_scope(parser: ArgumentParser) -> None:
    add_business(parser, required=True)
    add_channel(parser, required=True)
    parser.add_argument(
        "--category",
        metavar="CATÉGORIE",
        type=_category,
        default=EVERYTHING,
        help="marketing, ou un genre de message ; sinon tout message, factures comprises",
    )


def _category(given: str) -> str:
    try:
        return contact_lists.known_category(given)
    except NotFound as error:
        raise ArgumentTypeError(str(error)) from None


def _list(arguments: Namespace) -> int:
    where = asked(arguments) | {"person": arguments.person}
    with opened(arguments) as source:
        rows = source.suppressions(where, lifted=arguments.all, limit=arguments.limit)
    output.answer(arguments, {"suppressions": rows}, _show)
    return 0


def _add(arguments: Namespace) -> int:
    with opened(arguments) as source:
        done = _suppress(source, arguments, [arguments.contact], arguments.person)
    (contact,) = done.pop("contacts")
    output.answer(arguments, done | {"contact": contact, "added": done["added"] == 1}, _show_added)
    return 0


def _lift(arguments: Namespace) -> int:
    """Exit code: 2 when some were not in force, 1 when none was."""
    with opened(arguments) as source:
        done = source.lift_suppressions(arguments.ids, arguments.reason)
    output.answer(arguments, done, _show_lifted)
    if not done["left"]:
        return 0
    return 2 if done["lifted"] else 1


def _import(arguments: Namespace) -> int:
    """Exit code: 2 when some lines were refused, 1 when all were."""
    from cli.imports.contacts import Contact, Reject, read

    if arguments.business == EVERYBODY:
        raise BadRequest("Un fichier est la liste d'une entreprise : donnez la sienne.")
    found = list(read(arguments.file, arguments.channel))
    rejects = [line for line in found if isinstance(line, Reject)]
    contacts = list(dict.fromkeys(line.contact for line in found if isinstance(line, Contact)))
    added = 0
    with opened(arguments) as source:
        for start in range(0, len(contacts), contact_lists.MOST):
            chunk = contacts[start : start + contact_lists.MOST]
            added += _suppress(source, arguments, chunk)["added"]
    data = {
        "added": added,
        "known": len(contacts) - added,
        "rejected": len(rejects),
        "rejects": [asdict(reject) for reject in rejects[:REJECTS_LISTED]],
    }
    output.answer(arguments, data, _show_imported)
    if not rejects:
        return 0
    return 2 if contacts else 1


def _suppress(
    source: Installation, arguments: Namespace, contacts: Sequence[str], person: str = ""
) -> Row:
    return source.suppress(
        arguments.business,
        arguments.channel,
        contacts,
        category=arguments.category,
        person=person,
        reason=arguments.reason,
    )


def _show(screen: Console, data: dict[str, Any]) -> None:
    if not data["suppressions"]:
        output.line(screen, "Aucune inscription.")
    output.table(
        screen,
        ("n°", "entreprise", "canal", "contact", "client", "messages", "depuis", "par", "levée le",
         "pourquoi"),
        [
            (
                row["id"],
                "toutes" if row["business_id"] == EVERYBODY else row["business_id"],
                WORDS[row["channel"]],
                row["contact"] or "où qu'il soit",
                row["person"],
                _messages(row["category"]),
                row["at"],
                _by(row["source"]),
                row["lifted_at"],
                _why(row),
            )
            for row in data["suppressions"]
        ],
        long="pourquoi",
        shorten=("par", "client", "contact", "entreprise"),
        drop=("par", "client"),
    )  # fmt: skip


def _messages(category: str) -> str:
    words = {EVERYTHING: "tous", MARKETING: "commerciaux"}
    return words.get(category) or title_of(category)


def _by(source: str) -> str:
    """What made it: an event's key says more to us than to whoever reads."""
    return "avis de non-remise" if source.startswith("inbox:") else source


def _why(row: dict[str, Any]) -> str:
    why = " : ".join(filter(None, (REASONS[row["reason"]], row["note"])))
    if row["lifted_at"] is None:
        return why
    return f"{why} ; levée par {row['lifted_by']} : {row['lift_reason']}"


def _show_added(screen: Console, data: dict[str, Any]) -> None:
    if data["added"]:
        output.line(screen, f"Plus rien ne partira vers {data['contact']} ({_scope(data)}).")
    else:
        output.line(screen, f"{data['contact']} était déjà inscrit ({_scope(data)}).")


def _scope(data: dict[str, Any]) -> str:
    who = "toutes les entreprises" if data["business_id"] == EVERYBODY else data["business_id"]
    return f"{who}, {WORDS[data['channel']]}, messages : {_messages(data['category'])}"


def _show_lifted(screen: Console, data: dict[str, Any]) -> None:
    count = len(data["lifted"])
    output.line(screen, output.plural(count, "inscription levée.", "inscriptions levées."))
    if count:
        output.line(screen, "Un consentement retiré ne revient pas : voyez consents grant.")
    if data["left"]:
        ids = ", ".join(map(str, data["left"]))
        output.line(screen, f"Pas en vigueur, ou inexistant : {ids}.")


def _show_imported(screen: Console, data: dict[str, Any]) -> None:
    output.facts(
        screen,
        {
            "contacts inscrits": data["added"],
            "déjà inscrits": data["known"],
            "lignes refusées": data["rejected"],
        },
    )
    output.table(
        screen,
        ("ligne", "raison"),
        [(reject["line"], reject["reason"]) for reject in data["rejects"]],
        long="raison",
    )
    if data["rejected"] > len(data["rejects"]):
        output.line(screen, f"Les {len(data['rejects'])} premières seulement.")
