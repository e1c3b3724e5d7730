"""`./ponctuel secrets`: make, store, change and list what SSM Parameter Store holds for a stage.

On `local` nothing is stored: the line to run in the shell is printed instead.
"""

from __future__ import annotations

import argparse
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from getpass import getpass
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib import ssm
from chalicelib.errors import BadRequest, SettingsError
from chalicelib.settings import LOCAL, Settings, rows, settings

PARIS = ZoneInfo("Europe/Paris")
CURRENT, PREVIOUS = "CRON_SECRET", "CRON_SECRET_PREVIOUS"
CHANGE_WITHIN = timedelta(days=30)
# A standard parameter; larger ones are billed.
LARGEST_BYTES = 4096


@dataclass(frozen=True)
class Stored:
    """One parameter; `changed_at` is aware, and None on `local`. `value` is "" unless asked for."""

    name: str
    changed_at: datetime | None
    value: str = field(default="", repr=False)


def generate() -> str:
    """A secret of 256 random bits, as 43 characters that need no escaping in a URL or a shell."""
    return secrets.token_urlsafe(32)


def store(stage: str, name: str, value: str, *, force: bool = False) -> str:
    """Checks the value, stores it under `/ponctuel/<stage>/<name>` and returns what to tell.

    A CRON_SECRET that exists is not replaced without `force`, because that cuts every caller off:
    `rotate` does not. Raises `BadRequest` or `SettingsError`, never with the value in it.
    """
    row = next((row for row in rows() if row.name == name), None)
    if row is None or row.environment_only:
        known = ", ".join(row.name for row in rows() if not row.environment_only)
        raise BadRequest(f"{name} ne se range pas ici. Réglages possibles : {known}.")
    value = value.strip()
    if not value:
        raise BadRequest(f"La valeur de {name} est vide : rien n'est enregistré.")
    if len(value.encode()) > LARGEST_BYTES:
        raise BadRequest(f"La valeur de {name} dépasse {LARGEST_BYTES} octets, la limite de SSM.")
    Settings.from_mapping({name: value}).read(row)
    if stage == LOCAL:
        return f"export {name}={shlex.quote(value)}"
    kind = "SecureString" if row.secret else "String"
    _put(stage, name, value, kind=kind, overwrite=force or name != CURRENT)
    return f"{name} est enregistré pour l'étape {stage}. Il est pris en compte en cinq minutes."


def rotate(stage: str, *, today: date, force: bool = False) -> str:
    """Makes a new CRON_SECRET; the one before stays accepted as CRON_SECRET_PREVIOUS. Returns what
    to tell, with the new secret in it.

    Refused while an earlier rotation is not finished (`retire`), unless `force`: it would cut off
    the callers that still use the oldest secret. A current secret that is too short serves nobody
    and is not kept.
    """
    held = _held(stage)
    current, previous = held.get(CURRENT, ""), held.get(PREVIOUS, "")
    if previous and previous != current and not force:
        raise BadRequest(
            f"Un changement est déjà en cours : {PREVIOUS} est encore accepté. Quand tous les "
            f"appelants ont le nouveau secret, lancez `./ponctuel secrets retire{_on(stage)}`. "
            "Pour abandonner tout de suite le plus ancien (fuite), ajoutez --force."
        )
    new = generate()
    kept = _usable(current)
    if stage == LOCAL:
        lines = [f"export {PREVIOUS}={shlex.quote(current)}"] if kept else [f"unset {PREVIOUS}"]
        return "\n".join([*lines, f"export {CURRENT}={shlex.quote(new)}"])
    # In this order, a failure in between leaves the current secret valid.
    if kept:
        _put(stage, PREVIOUS, current, kind="SecureString", overwrite=True)
    elif previous:
        _delete(stage, PREVIOUS)
    _put(stage, CURRENT, new, kind="SecureString", overwrite=True)
    told = [
        f"Nouveau secret de l'étape {stage} (affiché cette seule fois) :",
        "",
        f"    {new}",
        "",
        "1. Attendez cinq minutes : toutes les fonctions l'auront lu.",
        "2. Donnez-le à chaque appelant : service de cron, GitHub Actions, Vercel, scripts.",
    ]
    if kept:
        by = f"{today + CHANGE_WITHIN:%d/%m/%Y}"
        told.append(
            f"3. L'ancien secret reste accepté jusqu'à `./ponctuel secrets retire{_on(stage)}` : "
            f"faites-le avant le {by}."
        )
    return "\n".join(told)


def retire(stage: str) -> str:
    """Ends a rotation: CRON_SECRET_PREVIOUS is deleted. Returns what to tell."""
    if stage == LOCAL:
        return f"unset {PREVIOUS}"
    if PREVIOUS not in _held(stage):
        return f"Aucun ancien secret n'est accepté sur l'étape {stage} : rien à faire."
    _delete(stage, PREVIOUS)
    return f"L'ancien secret de l'étape {stage} sera refusé partout dans cinq minutes."


def listing(stage: str, *, show: bool = False) -> list[Stored]:
    """What is set on the stage, by name. Values are fetched and returned only with `show`."""
    if stage == LOCAL:
        here = settings().environment
        names = sorted(row.name for row in rows() if here.get(row.name, "").strip())
        return [Stored(name, None, here[name] if show else "") for name in names]
    found = []
    with _asking(stage) as client:
        pages = client.get_paginator("get_parameters_by_path")
        for page in pages.paginate(Path=_path(stage), Recursive=False, WithDecryption=show):
            for parameter in page["Parameters"]:
                name = parameter["Name"].rpartition("/")[2]
                value = parameter["Value"] if show else ""
                found.append(Stored(name, parameter["LastModifiedDate"], value))
    return sorted(found, key=lambda stored: stored.name)


def register(subparsers: Any) -> None:
    """Adds `secrets` to the command line; each command's `run(args)` returns the exit status."""
    parser = subparsers.add_parser("secrets", help="fabriquer, ranger et changer les secrets")
    commands = parser.add_subparsers(dest="secrets_command", required=True, metavar="action")
    _command(commands, "generate", "affiche un secret neuf", lambda _args: generate())
    adding = _command(commands, "store", "range une valeur, lue au clavier ou d'un tube", _store)
    adding.add_argument("name", metavar="NOM", help="par exemple DATABASE_URL")
    turning = _command(
        commands,
        "rotate",
        "change CRON_SECRET sans couper les appelants",
        lambda args: rotate(_stage(args), today=datetime.now(PARIS).date(), force=args.force),
    )
    for command in (adding, turning):
        command.add_argument("--force", action="store_true", help="même si cela coupe un appelant")
    _command(commands, "retire", "n'accepte plus l'ancien", lambda args: retire(_stage(args)))
    showing = _command(commands, "list", "noms et dates de ce qui est rangé", _list)
    showing.add_argument("--show", action="store_true", help="affiche aussi les valeurs")


def _command(commands: Any, name: str, text: str, tell: Any) -> argparse.ArgumentParser:
    def run(args: argparse.Namespace) -> int:
        print(tell(args))
        return 0

    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    # SUPPRESS: a --stage given before the command must not be overwritten by a default here.
    parser.add_argument("--stage", default=argparse.SUPPRESS, help="étape (sinon PONCTUEL_STAGE)")
    parser.set_defaults(run=run, takes_stage=True)
    return parser


def _store(args: argparse.Namespace) -> str:
    if sys.stdin.isatty():
        value = getpass(f"Valeur de {args.name} (non affichée) : ")
    else:
        value = sys.stdin.read()
    return store(_stage(args), args.name, value, force=args.force)


def _list(args: argparse.Namespace) -> str:
    stage = _stage(args)
    stored = listing(stage, show=args.show)
    known = {row.name for row in rows()}
    lines = []
    for one in stored:
        when = f"{one.changed_at.astimezone(PARIS):%d/%m/%Y %H:%M}" if one.changed_at else "présent"
        unknown = "" if one.name in known else "  (réglage inconnu)"
        lines.append(f"{one.name:<28} {when}{f'  {one.value}' if args.show else ''}{unknown}")
    present = {one.name for one in stored}
    for name in (CURRENT, "DATABASE_URL"):
        if name not in present:
            lines.append(f"{name:<28} manque")
    return "\n".join(lines)


def _stage(args: argparse.Namespace) -> str:
    """--stage, or this shell's; checked, because it becomes part of a path."""
    given = getattr(args, "stage", None)
    return Settings.from_mapping({"PONCTUEL_STAGE": given}).stage if given else settings().stage


def _on(stage: str) -> str:
    return "" if stage == LOCAL else f" --stage {stage}"


def _usable(secret: str) -> bool:
    try:
        return Settings.from_mapping({CURRENT: secret}).cron_secret is not None
    except SettingsError:
        return False


def _path(stage: str) -> str:
    return f"/ponctuel/{stage}/"


def _held(stage: str) -> dict[str, str]:
    """The current and the previous secret, those that there are."""
    if stage == LOCAL:
        here = settings().environment
        return {name: here[name].strip() for name in (CURRENT, PREVIOUS) if here.get(name)}
    ssm.forget()  # what is stored now, not five minutes ago
    held = ssm.load(_path(stage))
    return {name: held[name].strip() for name in (CURRENT, PREVIOUS) if name in held}


def _put(stage: str, name: str, value: str, *, kind: str, overwrite: bool) -> None:
    from botocore.exceptions import ClientError

    with _asking(stage) as client:
        try:
            client.put_parameter(
                Name=_path(stage) + name, Value=value, Type=kind, Overwrite=overwrite
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterAlreadyExists":
                raise
            raise BadRequest(
                f"{name} existe déjà sur l'étape {stage}. Le remplacer couperait tous les "
                f"appelants : lancez plutôt `./ponctuel secrets rotate{_on(stage)}`, ou ajoutez "
                "--force."
            ) from None


def _delete(stage: str, name: str) -> None:
    with _asking(stage) as client:
        client.delete_parameters(Names=[_path(stage) + name])


@contextmanager
def _asking(stage: str) -> Iterator[Any]:
    """An SSM client whose failures are explained."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield ssm.connect()
    except (BotoCoreError, ClientError) as error:
        raise ssm.unreachable(_path(stage), error) from error
