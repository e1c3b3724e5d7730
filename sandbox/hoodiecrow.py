"""A real IMAP server with Gmail's ways (hoodiecrow-imap of npm) on the loopback: XOAUTH2, and the
ids that a message has in all of its folders.

It is installed on first use, into a folder of the system's temporary ones. Where there is no Node
or no registry, `Unavailable` says so. Messages are in memory, and given at the start.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from chalicelib.providers.imap.account import Auth, ImapAccount

VERSION = "2.1.0"
USER = "testuser"
PASSWORD = "testpass"
TOKEN = "testtoken"
_START = """
const [program, port, storage] = process.argv.slice(1);
const server = require(program)({
  plugins: ["ID", "SASL-IR", "AUTH-PLAIN", "XOAUTH2", "ENABLE", "CONDSTORE", "SPECIAL-USE",
            "UNSELECT", "NAMESPACE", "X-GM-EXT-1",
            // Its plugin for Gmail's ids does not say that they are there.
            server => server.registerCapability("X-GM-EXT-1")],
  storage: JSON.parse(require("fs").readFileSync(storage, "utf-8")),
});
server.listen(Number(port), "127.0.0.1");
"""
INSTALLED_WITHIN_S = 90.0
STARTS_WITHIN_S = 15.0


class Unavailable(Exception):
    """It cannot be had on this machine; the text says why."""


def installed() -> Path:
    """Its module. Raises `Unavailable`."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Unavailable("Node.js with npm is not installed")
    folder = Path(tempfile.gettempdir()) / f"hoodiecrow-{VERSION}-{os.getuid()}"
    program = folder / "node_modules" / "hoodiecrow-imap"
    if folder.exists():
        if folder.stat().st_uid != os.getuid() or not program.exists():
            raise Unavailable(f"{folder} is not what was installed there")
        return program
    # Beside it and then renamed: several test processes may be at it.
    fresh = Path(tempfile.mkdtemp(prefix="hoodiecrow-"))
    command = [npm, "install", "--prefix", str(fresh), "--ignore-scripts", "--no-audit"]
    try:
        subprocess.run(
            [*command, "--no-fund", f"hoodiecrow-imap@{VERSION}"],
            check=True,
            capture_output=True,
            timeout=INSTALLED_WITHIN_S,
        )
        fresh.rename(folder)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if not program.exists():
            raise Unavailable("npm cannot install hoodiecrow-imap") from error
    return program


class HoodiecrowSandbox:
    """The server, from `with` to the end of the block. `messages`: of INBOX; `filed`: of
    [Gmail]/All Mail, each with the id that Gmail gives it."""

    def __init__(
        self, messages: Sequence[bytes] = (), filed: Mapping[int, bytes] | None = None
    ) -> None:
        self.port = 0
        self._messages = messages
        self._filed = filed or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()

    def account(self, *, auth: Auth = "xoauth2", secret: str = "") -> ImapAccount:
        """What `open_session` takes."""
        right = TOKEN if auth == "xoauth2" else PASSWORD
        return ImapAccount(
            host="127.0.0.1",
            port=self.port,
            username=USER,
            secret=secret or right,
            security="none",
            auth=auth,
            private_allowed=True,
        )

    def __enter__(self) -> Self:
        program = installed()
        self._folder = Path(tempfile.mkdtemp(prefix="hoodiecrow-storage-"))
        storage = self._folder / "storage.json"
        storage.write_text(json.dumps(self._storage()))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process = subprocess.Popen(
            ["node", "--no-deprecation", "-e", _START, str(program), str(self.port), str(storage)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + STARTS_WITHIN_S
        while self._process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        self.__exit__()
        raise RuntimeError("hoodiecrow does not start")

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _storage(self) -> dict[str, Any]:
        filed = [
            {"raw": message.decode("latin-1"), "X-GM-MSGID": str(number)}
            for number, message in self._filed.items()
        ]
        special = {"Drafts": "\\Drafts", "Sent Mail": "\\Sent", "Spam": "\\Junk"}
        folders: dict[str, Any] = {
            name: {"special-use": [attribute]} for name, attribute in special.items()
        }
        folders["All Mail"] = {"special-use": ["\\All"], "messages": filed}
        return {
            "INBOX": {"messages": [{"raw": one.decode("latin-1")} for one in self._messages]},
            "": {
                "separator": "/",
                "folders": {"[Gmail]": {"flags": ["\\Noselect"], "folders": folders}},
            },
        }
