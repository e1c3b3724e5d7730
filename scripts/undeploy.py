"""`make undeploy STAGE=dev`: removes what `make deploy` made in AWS. The database, the secrets in
SSM, the logs and a custom domain name stay."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from chalicelib.errors import PonctuelError
from scripts import package
from scripts.account import connect
from scripts.errors import DeploymentError
from scripts.project import Project
from scripts.release import look, recorded_state, stage_named, tell


def undeploy(name: str) -> None:
    """Asks for the stage's name first. Raises `PonctuelError`, in French."""
    stage = stage_named(name)
    account = connect(stage, os.environ)
    deployed = look(account, stage, with_domain=False)
    state = deployed.state()["resources"]
    if not state:
        tell(f"L'étape {name} n'a rien dans le compte {account.number}, région {account.region}.")
        return
    tell(
        f"Seront supprimés du compte {account.number}, région {account.region} : l'API "
        f"{deployed.url or '(aucune)'}, et les fonctions {', '.join(deployed.functions)}."
    )
    _confirm(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        package.export(copy)
        Project(copy, name).delete(account, deployed)
    recorded_state(name).unlink(missing_ok=True)
    if left := look(account, stage, with_domain=False).state()["resources"]:
        names = ", ".join(resource["name"] for resource in left)
        raise DeploymentError(f"Il reste : {names}. Relancez `make undeploy STAGE={name}`.")
    tell(
        "C'est fait. Restent : la base, les paramètres SSM (`./ponctuel secrets list "
        f"--stage {name}`), et les journaux jusqu'au bout de leur durée de conservation."
    )


def _confirm(name: str) -> None:
    sys.stdout.write("Pour confirmer, tapez le nom de l'étape : ")
    sys.stdout.flush()
    if sys.stdin.readline().strip() != name:
        raise DeploymentError("Ce n'est pas le nom de l'étape : rien n'a été supprimé.")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make undeploy")
    parser.add_argument("--stage", required=True)
    options = parser.parse_args(arguments)
    try:
        undeploy(options.stage)
    except PonctuelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
