"""argparse in French, and the kinds of arguments that several commands take."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NoReturn

from chalicelib.errors import BadRequest
from chalicelib.outbox import reading
from chalicelib.outbox.reading import CHANNELS

Run = Callable[[argparse.Namespace], int]

# What argparse says when it refuses a command line, as Python 3.11 to 3.13 word it.
_FRENCH = (
    (r"^argument (\S+(?:/\S+)*): ", r"argument \1 : "),
    (r"the following arguments are required: ", "il manque : "),
    (r"one of the arguments (.+) is required", r"il faut l'un de ces arguments : \1"),
    (r"unrecognized arguments: ", "arguments inconnus : "),
    (r"invalid choice: (.+) \(choose from (.+)\)", r"\1 n'existe pas (au choix : \2)"),
    (r"expected one argument", "il faut une valeur"),
    (r"expected at least one argument", "il faut au moins une valeur"),
    (r"not allowed with argument (.+)", r"incompatible avec \1"),
    (r"ignored explicit argument (.+)", r"n'attend pas de valeur (\1)"),
    (r"ambiguous option: (.+) could match (.+)", r"option ambiguë : \1 (\2)"),
    (r"invalid (?:int|positive) value: (.+)", r"\1 n'est pas un nombre"),
)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **options)
        # argparse forgets that commands are indented, and gives long names a line of their own.
        self._action_max_length = 14

    def add_usage(
        self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None
    ) -> None:
        super().add_usage(usage, actions, groups, "Usage : " if prefix is None else prefix)


class Parser(argparse.ArgumentParser):
    """A parser whose help and errors are French; a refused command line exits 1, because 2 says
    that a run ended *partial*."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _Formatter)
        super().__init__(add_help=False, **options)
        self._positionals.title = "arguments "
        self._optionals.title = "options "
        self.add_argument("-h", "--help", action="help", help="affiche cette aide")

    def error(self, message: str) -> NoReturn:
        for english, french in _FRENCH:
            message = re.sub(english, french, message)
        self.exit(1, f"{message} (aide : {self.prog} --help)\n")


def command(
    subparsers: Any,
    name: str,
    text: str,
    run: Run,
    *,
    json: bool = True,
    remote: bool = False,
    inside: bool = False,
    **options: Any,
) -> argparse.ArgumentParser:
    """Adds a command: `run(arguments)` returns the exit code. `remote`: it also works on a deployed
    stage. `inside`: of a command that can be given alone, with its own `--json`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", **options
    )
    parser.set_defaults(run=run, takes_stage=remote)
    if json:
        default = argparse.SUPPRESS if inside else False
        parser.add_argument("--json", action="store_true", default=default, help="répond en JSON")
    if remote:
        add_stage(parser, default=argparse.SUPPRESS)
    return parser


def add_stage(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """`--stage` and `--url`, before or after the command. With SUPPRESS, what was given before the
    command is not overwritten."""
    parser.add_argument(
        "--stage",
        metavar="ÉTAPE",
        default=default,
        help="sur cette étape déployée, par HTTPS (sinon la base de DATABASE_URL)",
    )
    parser.add_argument(
        "--url",
        metavar="ADRESSE",
        default=default,
        help="adresse de l'API, si elle n'est pas connue",
    )


def group(subparsers: Any, name: str, text: str) -> Any:
    """Adds a command that only has subcommands, and returns what to add them to."""
    parser = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return parser.add_subparsers(metavar="ACTION", required=True, dest="action")


def add_reason(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--reason",
        metavar="RAISON",
        required=required,
        default="",
        help="ce qu'un collègue lira" + (" (obligatoire)" if required else ""),
    )


def add_channel(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--channel",
        metavar="CANAL",
        required=required,
        type=french(CHANNELS),
        help=" ou ".join(f"{word} ({code})" for code, word in CHANNELS.items()),
    )


def add_since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="DATE", type=since, help="depuis ce jour, ou cet instant avec son fuseau"
    )


def add_business(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--business", metavar="ENTREPRISE", required=required, help="identifiant de l'entreprise"
    )


def add_document(parser: argparse.ArgumentParser) -> None:
    """`document` (invoice or quote, also by its French name) and `number`."""
    parser.add_argument(
        "document",
        metavar="DOCUMENT",
        type=french({"invoice": "facture", "quote": "devis"}),
        help="facture ou devis (ou invoice, quote)",
    )
    parser.add_argument("number", metavar="NUMÉRO")


def french(
    words: Mapping[str, str], others: Mapping[str, str] | None = None
) -> Callable[[str], str]:
    """Reads a code, or the French words that tables print for it, whatever their case. `words`:
    French by code; `others`: codes by another name."""
    codes = {name.casefold(): code for code, name in words.items()}
    codes |= {code: code for code in words} | dict(others or {})

    def read(given: str) -> str:
        try:
            return codes[" ".join(given.casefold().split())]
        except KeyError:
            known = ", ".join(words.values())
            raise argparse.ArgumentTypeError(
                f"« {given} » n'existe pas (au choix : {known})"
            ) from None

    return read


def add_ids(parser: argparse.ArgumentParser, count: str = "+") -> None:
    parser.add_argument(
        "ids", metavar="NUMÉRO", nargs=count, type=positive, help="numéros de messages"
    )


def positive(text: str) -> int:
    """A whole number from 1, as a bigint column holds it."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"« {text} » n'est pas un numéro")
    return int(text)


def days(text: str) -> int:
    """1 to 3660: ten years of slots are still quick to count."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= 3660:
        raise argparse.ArgumentTypeError(f"« {text} » : attendu un nombre de jours de 1 à 3660")
    return int(text)


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"« {text} » : attendu une date, 2026-03-10") from None


def instant(text: str) -> datetime:
    """ISO 8601, aware: an instant without a zone means two things in France on one day a year."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"« {text} » : attendu une date, une heure et un fuseau, 2026-03-10T10:00:00+01:00"
        )
    return found


def since(text: str) -> datetime:
    """As the routes read it."""
    try:
        return reading.since(text)
    except BadRequest:
        raise argparse.ArgumentTypeError(
            f"« {text} » : attendu un jour, 2026-03-10, ou un instant avec son fuseau"
        ) from None


def listed(names: Iterable[str]) -> str:
    """For a help text: the names, in French."""
    *most, last = names
    return f"{', '.join(most)} ou {last}" if most else last
