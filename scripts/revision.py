"""The commit that is deployed: a deployment is what git has, never what lies in the folder."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.errors import DeploymentError

# What ships, and what decides how it ships.
SHIPPED = ("app.py", "chalicelib", ".chalice", "requirements.txt")
_MIGRATION = re.compile(r"chalicelib/db/migrations/(\w+)/(\d+)_\w+\.py")


@dataclass(frozen=True)
class Revision:
    """A commit of the repository in `source`. `sha`: all 40 digits."""

    source: Path
    sha: str

    @property
    def short(self) -> str:
        return self.sha[:10]

    def unpack(self, target: Path) -> None:
        """The shipped files of this commit, in the existing folder `target`."""
        archive = _git_bytes(self.source, "archive", self.sha, "--", *SHIPPED)
        # Not tarfile: its safe extraction came with Python 3.11.4, and Debian 12 has 3.11.2.
        subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)  # noqa: S603, S607

    def migrations(self) -> set[str]:
        """`ledger_0001`, `domain_0001`…: the revisions of the schema that this commit ships."""
        paths = _git(self.source, "ls-tree", "-r", "--name-only", self.sha, "chalicelib/db")
        return {f"{branch}_{number}" for branch, number in _MIGRATION.findall(paths)}


def head(source: Path) -> Revision:
    """The commit that is checked out in `source`. Raises `DeploymentError` when a shipped file
    differs from it, or is not in it."""
    changed = _git(source, "status", "--porcelain", "--", *SHIPPED).splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:5]) + (" …" if len(changed) > 5 else "")
        raise DeploymentError(
            f"Ces fichiers ne sont pas dans le dernier commit : {names}. Seul un commit se "
            "déploie : `git commit` ce qui doit partir, `git stash -u` le reste, puis relancez."
        )
    return named(source, "HEAD")


def named(source: Path, name: str) -> Revision:
    """The commit of a tag, a branch or a sha. Raises `DeploymentError`."""
    try:
        # `--end-of-options`: a name is never taken for an option.
        sha = _git(source, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except DeploymentError as error:
        raise DeploymentError(
            f"Git ne connaît pas {name} ici. `git fetch --tags` apporte les étiquettes des "
            "autres machines ; `git tag --list 'deployed/*'` les montre."
        ) from error
    return Revision(source, sha.strip())


def label(revision: Revision, stage: str, now: datetime, note: str) -> str:
    """Tags the commit `deployed/<stage>/<UTC time>` with the message `note`, and returns the tag.
    A time and not a number, because two machines that deploy do not know each other's numbers.
    `now` is aware."""
    tag = f"deployed/{stage}/{now.astimezone(UTC):%Y%m%d-%H%M%S}"
    # Git asks for an identity, which a machine of a pipeline may not have.
    who = ("-c", "user.name=Ponctuel", "-c", "user.email=ponctuel@localhost")
    own = _git(revision.source, "config", "--get", "--default", "", "user.email").strip()
    _git(revision.source, *(() if own else who), "tag", "-a", "-m", note, tag, revision.sha)
    return tag


def labels(source: Path, stage: str) -> list[str]:
    """The tags of the stage's deployments that git knows here, newest first."""
    return _git(source, "tag", "--list", "--sort=-refname", f"deployed/{stage}/*").split()


def _git(source: Path, *arguments: str) -> str:
    return _git_bytes(source, *arguments).decode()


def _git_bytes(source: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  our own arguments; names follow --end-of-options
            ["git", "-C", str(source), *arguments],  # noqa: S607  whichever git the operator has
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise DeploymentError("Il faut git pour déployer : installez-le.") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise DeploymentError(f"Git a refusé `git {arguments[0]}` : {said}")
    return done.stdout
