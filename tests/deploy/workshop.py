"""An operator's clone of the repository, and the commands typed there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.revision import SHIPPED
from tests.contract.paths import ROOT
from tests.deploy.aws import Aws

SECRET = "the-cron-secret-of-these-tests-0123456789"
# Who commits there does not matter.
_WHO = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")


@dataclass
class Workshop:
    """`environment` replaces this process's; `folder` is a git repository with one commit."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def clone(cls, folder: Path, aws: Aws, layers: Path) -> Workshop:
        """The files of this repository that a deployment needs, in a repository of their own.
        `layers`: where what pip downloads is kept from one test to the next."""
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", *SHIPPED, "scripts"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for name in [*listed, ".gitignore"]:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "build").mkdir()
        (folder / "build" / "layers").symlink_to(layers)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        kept |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        workshop = cls(folder, kept | aws.environment())
        workshop.git("init", "-q", "-b", "main")
        workshop.commit("the first commit")
        return workshop

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *_WHO, *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commits everything and returns the sha."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def recorded(self, stage: str) -> list[Any]:
        """The resources in the state that the last deployment from here left."""
        path = self.folder / ".chalice" / "deployed" / f"{stage}.json"
        found: list[Any] = json.loads(path.read_text(encoding="utf-8"))["resources"]
        return found

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def append(self, name: str, text: str) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def run(self, script: str, *arguments: str, typed: str = "", **variables: str) -> Said:
        """`python -m scripts.<script>` there, as `make` runs it. A variable set to "" is unset."""
        environment = {**self.environment, **variables}
        done = subprocess.run(
            [sys.executable, "-m", f"scripts.{script}", *arguments],
            cwd=self.folder,
            env={name: value for name, value in environment.items() if value},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def deploy(self, stage: str = "dev", *arguments: str, **variables: str) -> Said:
        return self.run("deploy", "--stage", stage, *arguments, **variables)


@dataclass(frozen=True)
class Said:
    """How a command ended: `told` is what it printed, `error` what it complained about."""

    code: int
    told: str
    error: str

    def succeeded(self) -> str:
        assert self.code == 0, f"{self.told}\n{self.error}"
        return self.told

    def refused(self) -> str:
        """The complaint, which no traceback came with."""
        assert self.code == 1, self.told
        assert "Traceback" not in self.error, self.error
        return self.error


def store_secrets(aws: Aws, stage: str, **others: str) -> None:
    """What `./ponctuel secrets store` would have stored; a value of "" leaves one out. Not one of
    the deployment's calls."""
    before = len(aws.calls)
    values = {"CRON_SECRET": SECRET, "MAIL_URL": "smtps://u:p@smtp.example.fr:465", **others}
    for name, value in values.items():
        if value:
            aws.client("ssm").put_parameter(
                Name=f"/ponctuel/{stage}/{name}", Value=value, Type="SecureString", Overwrite=True
            )
    del aws.calls[before:]
