"""A clean copy of one commit, which Chalice packs, deploys or deletes from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts import package
from scripts.account import Account
from scripts.deployed import COMMIT_TAG, Deployed
from scripts.errors import DeploymentError
from scripts.revision import Revision

# Layers that were checked, so that pip runs once per requirements.txt: Chalice names each after
# that file's content, the Python and the processor.
LAYERS = package.ROOT / "build" / "layers"


@dataclass(frozen=True)
class Project:
    """The copy in `folder`, for one stage."""

    folder: Path
    stage: str

    @classmethod
    def of(cls, revision: Revision, stage: str, folder: Path) -> Project:
        """The copy of a commit below `folder`, whose functions will bear the commit's sha as a tag.
        Raises `DeploymentError` when that commit has no such stage, and `PackagingError`."""
        tree, copy = folder / "tree", folder / "project"
        tree.mkdir()
        revision.unpack(tree)
        package.export(copy, tree)
        path = copy / ".chalice" / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        if stage not in config["stages"]:
            raise DeploymentError(f"Le commit {revision.short} ne connaît pas l'étape {stage}.")
        tags = config["stages"][stage].setdefault("tags", {})
        tags[COMMIT_TAG] = revision.sha
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        return cls(copy, stage)

    @property
    def functions(self) -> list[str]:
        """Chalice's names of the functions, `api_handler` first."""
        path = self.folder / ".chalice" / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        return list(config["stages"][self.stage]["lambda_functions"])

    def build(self, layers: Path = LAYERS) -> None:
        """Packs and checks what `deploy` will upload. Raises `PackagingError`."""
        zips = self.folder / ".chalice" / "deployments"
        zips.mkdir(parents=True)
        for kept in layers.glob("managed-layer-*.zip"):
            shutil.copy(kept, zips)
        output = self.folder.parent / "package"
        package.build_from(self.folder, self.stage, output)
        package.check(output, self.folder / "requirements.txt")
        layers.mkdir(parents=True, exist_ok=True)
        for fresh in zips.glob("managed-layer-*.zip"):
            shutil.copy(fresh, layers)

    def deploy(self, account: Account, deployed: Deployed) -> str:
        """`chalice deploy`, from that state; returns the new one, as Chalice recorded it: JSON. Its
        own lines are shown as they come. Raises `DeploymentError`."""
        self._run("deploy", account, deployed)
        return self._state.read_text(encoding="utf-8")

    def delete(self, account: Account, deployed: Deployed) -> None:
        """`chalice delete`: all of that state. Raises `DeploymentError`."""
        self._run("delete", account, deployed)

    @property
    def _state(self) -> Path:
        return self.folder / ".chalice" / "deployed" / f"{self.stage}.json"

    def _run(self, command: str, account: Account, deployed: Deployed) -> None:
        self._state.parent.mkdir(parents=True, exist_ok=True)
        self._state.write_text(json.dumps(deployed.state(), indent=2), encoding="utf-8")
        sys.stdout.flush()
        done = subprocess.run(  # noqa: S603  our own interpreter and arguments
            [*package.CHALICE, command, "--stage", self.stage],
            cwd=self.folder,
            env=_environment(os.environ, account),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            # Its own reason ends a traceback of Chalice's code, which tells nobody anything.
            reason = done.stderr.rpartition("ChaliceDeploymentError: ")[2].strip()
            raise DeploymentError(
                f"`chalice {command}` s'est arrêté en route :\n{reason}\nCorrigez, puis relancez "
                f"la même commande pour l'étape {self.stage} : elle repart de ce qui existe dans "
                "AWS, sans rien créer deux fois."
            )


def _environment(here: Mapping[str, str], account: Account) -> dict[str, str]:
    # Chalice only looks at AWS_DEFAULT_REGION.
    return package.environment(here) | {"AWS_DEFAULT_REGION": account.region}
