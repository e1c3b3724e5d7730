"""The way that `make deploy` and `make rollback` have in common, from a commit to a stage that
answers."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import config, deployed, functions, package, readiness, smoke
from scripts.account import Account, asking, connect
from scripts.deployed import Deployed
from scripts.errors import DeploymentError
from scripts.project import Project
from scripts.revision import Revision, label
from scripts.stages import Stage

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Release:
    """A commit on its way to a stage. `change_python`: the functions may get another Python."""

    revision: Revision
    stage: Stage
    account: Account
    before: Deployed
    change_python: bool = False

    @classmethod
    def prepare(cls, revision: Revision, stage: Stage, *, change_python: bool = False) -> Release:
        """Looks at AWS. Raises `DeploymentError`."""
        account = connect(stage, os.environ)
        return cls(revision, stage, account, look(account, stage), change_python)

    def run(self, *, migrate: bool, note: str) -> str:
        """Deploys and checks; returns the API's address. `note`: what the git tag will say. Raises
        `DeploymentError`, `PackagingError` or `SettingsError`; until the first line of Chalice
        nothing was changed."""
        name, account = self.stage.name, self.account
        current = readiness.settings_of(self.stage, account)
        secret = current.cron_secret or ""
        self._refuse_another_python()
        with tempfile.TemporaryDirectory() as folder:
            project = Project.of(self.revision, name, Path(folder))
            tell(f"Préparation du paquet ({self.revision.short}, {RUNTIME})…")
            project.build()
            tell(f"Envoi vers l'étape {name} : compte {account.number}, région {account.region}.")
            with asking():
                days = self.stage.log_retention_in_days
                functions.keep_logs(account, name, project.functions, days)
            recorded_state(name).write_text(project.deploy(account, self.before), encoding="utf-8")
        with asking():
            after = look(account, self.stage)
            if migrate:
                tell(f"Base à jour : {', '.join(functions.migrate(account, name))}.")
        url, rest_api = after.url or "", after.rest_api or ""
        smoke.answers(smoke.address(url, rest_api, os.environ), name, secret)
        tag = label(self.revision, name, datetime.now(UTC), note)
        tell(f"L'étape {name} répond : {url}")
        tell(f"Étiquette de ce déploiement : {tag} (`git push origin {tag}` pour la partager)")
        return url

    def _refuse_another_python(self) -> None:
        others = self.before.runtimes - {RUNTIME}
        if others and not self.change_python:
            other = ", ".join(sorted(others))
            raise DeploymentError(
                f"Les fonctions de l'étape {self.stage.name} tournent sous {other}, et ce "
                f"déploiement se fait avec {RUNTIME} : il les y ferait passer. Utilisez le même "
                f"Python (`rm -rf .venv && make PYTHON={sorted(others)[0]} …`), ou acceptez le "
                "changement en ajoutant CHANGE_PYTHON=yes."
            )


def look(account: Account, stage: Stage, *, with_domain: bool = True) -> Deployed:
    """What the stage has in AWS. Raises `DeploymentError`."""
    names = list(config.config([stage])["stages"][stage.name]["lambda_functions"])
    domain = stage.chalice.get("api_gateway_custom_domain") or {}
    asked = domain.get("domain_name", "") if with_domain else ""
    with asking():
        return deployed.read(account, stage.name, names, asked)


def stage_named(name: str) -> Stage:
    """A stage of stages.toml. Raises `SettingsError` and `DeploymentError`."""
    known = {stage.name: stage for stage in config.load()}
    if name not in known:
        raise DeploymentError(f"Pas d'étape {name} ; il y a : {', '.join(known)}.")
    return known[name]


def recorded_state(stage: str) -> Path:
    """Where the command line looks for the address of a stage (docs/cli.md). No deployment reads
    it."""
    path = package.ROOT / ".chalice" / "deployed" / f"{stage}.json"
    path.parent.mkdir(exist_ok=True)
    return path


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
