"""A real IMAP server that businesses use (Debian's Dovecot 2.3), on the loopback.

In a test:

    with DovecotSandbox() as dovecot:
        dovecot.deliver("compta", "INBOX", [b"Subject: x\\r\\n\\r\\nBonjour"])
        account = dovecot.account("compta")

It runs as a process of its own, as root or as anybody. Mailboxes are maildirs, made when a user
of `users` is first delivered to or logs in.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from imapclient import IMAPClient
from imapclient.imap_utf7 import encode

from chalicelib.providers.imap.account import ImapAccount, Security
from sandbox.dovecot_configuration import configuration

PASSWORD = "mot de passe, avec : @ et é"
STARTS_WITHIN_S = 15.0
_BINARY = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def absent() -> str:
    """Why it cannot be started here; empty when it can."""
    if _BINARY is None:
        return "Dovecot is not installed (Debian: dovecot-imapd)"
    version = subprocess.run([_BINARY, "--version"], capture_output=True, text=True, check=False)
    return "" if version.stdout.startswith("2.3.") else "this Dovecot is not of version 2.3"


class DovecotSandbox:
    """The server, from `with` to the end of the block. `certificate`: a PEM file with the key and
    the certificate; without it there is no TLS."""

    def __init__(
        self,
        *,
        users: Sequence[str] = ("compta",),
        certificate: Path | None = None,
        settings: str = "",
    ) -> None:
        self.users = tuple(users)
        self.port = self.tls_port = 0
        self._certificate = certificate
        self._settings = settings
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        # Dovecot reads no mail as root, and its login process wants another user than the mail's.
        self._root = os.geteuid() == 0
        self._owner = pwd.getpwnam("nobody") if self._root else pwd.getpwuid(os.geteuid())

    def account(self, user: str, *, security: Security = "none", **fields: object) -> ImapAccount:
        """What `open_session` takes."""
        port = self.tls_port if security == "tls" else self.port
        given = {"username": user, "secret": PASSWORD, "private_allowed": True, **fields}
        return ImapAccount(host="127.0.0.1", port=port, security=security, **given)  # type: ignore[arg-type]

    def deliver(
        self, user: str, folder: str, messages: Iterable[bytes], *, flags: str = ""
    ) -> None:
        """Puts messages into the maildir as a delivery agent does. `flags` are maildir's: S for
        seen, F for flagged, R for answered; without any, the message is new."""
        maildir = self.maildir(user, folder)
        self._make(maildir)
        stamp = int(time.time())
        for message in messages:
            number = next(self._numbers)
            name = f"{stamp}.M{number}P{os.getpid()}.sandbox"
            draft = maildir / "tmp" / name
            draft.write_bytes(message)
            self._own(draft)
            draft.rename(maildir / ("cur" if flags else "new") / f"{name}{flags and f':2,{flags}'}")

    def maildir(self, user: str, folder: str = "INBOX") -> Path:
        """Where the folder's messages are."""
        home = self._folder / "mail" / user
        return home if folder == "INBOX" else home / f".{encode(folder).decode().replace('/', '.')}"

    @contextlib.contextmanager
    def client(self, user: str, folder: str | None = None) -> Iterator[IMAPClient]:
        """A client that we did not write, logged in, with the folder open for changes."""
        client = IMAPClient("127.0.0.1", self.port, ssl=False, timeout=20)
        client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            client.plain_login(user, PASSWORD)
            if folder is not None:
                client.select_folder(folder)
            yield client

    def append(self, user: str, folder: str, message: bytes, flags: Sequence[bytes] = ()) -> None:
        """Over IMAP, as a mail program does."""
        with self.client(user) as client:
            client.append(folder, message, flags)

    def uids(self, user: str, folder: str = "INBOX") -> list[int]:
        with self.client(user, folder) as client:
            return list(client.search())

    def expunge(self, user: str, folder: str, uids: Sequence[int]) -> None:
        with self.client(user, folder) as client:
            client.delete_messages(uids)
            client.uid_expunge(uids)

    def set_flags(
        self, user: str, folder: str, uids: Sequence[int], flags: Sequence[bytes]
    ) -> None:
        with self.client(user, folder) as client:
            client.set_flags(uids, flags)

    def move(self, user: str, folder: str, uids: Sequence[int], target: str) -> None:
        with self.client(user, folder) as client:
            client.move(uids, target)

    def create(self, user: str, folder: str) -> None:
        with self.client(user) as client:
            client.create_folder(folder)

    def rename(self, user: str, folder: str, new: str) -> None:
        with self.client(user) as client:
            client.rename_folder(folder, new)

    def delete(self, user: str, folder: str) -> None:
        with self.client(user) as client:
            client.delete_folder(folder)

    def change_uidvalidity(self, user: str, folder: str = "INBOX") -> None:
        """The folder's messages get new UIDs, under another UIDVALIDITY, when it is next opened."""
        maildir = self.maildir(user, folder)
        for path in [*maildir.glob("dovecot-uidlist*"), *maildir.glob("dovecot.index*")]:
            path.unlink()
        # UIDVALIDITY is the time in seconds, or one more than the mailbox has had.
        for path in self.maildir(user).glob("dovecot.list.index*"):
            path.unlink()

    def empty(self, user: str) -> None:
        """Without messages and folders, as it was at first. Nobody may be using it."""
        with contextlib.suppress(FileNotFoundError):
            away = self.maildir(user).rename(self._folder / f"away-{next(self._numbers)}")
            shutil.rmtree(away, ignore_errors=True)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Also again, after `stop`: on the same ports, with the same mail."""
        assert _BINARY is not None
        with (self._folder / "stderr").open("ab") as told:
            self._process = subprocess.Popen(
                [_BINARY, "-F", "-c", str(self._folder / "dovecot.conf")],
                stdout=subprocess.DEVNULL,
                stderr=told,
                start_new_session=True,
            )
        end = time.monotonic() + STARTS_WITHIN_S
        while self._process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), self._connected() as server:
                if server.recv(1):
                    return
            time.sleep(0.02)
        self.stop()
        said = (self._folder / "stderr").read_text(errors="replace") + self.log()
        raise RuntimeError(f"Dovecot does not start: {said[-2000:]}")

    def stop(self) -> None:
        """All connections end."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=STARTS_WITHIN_S)

    def __enter__(self) -> Self:
        # Paths of sockets are short: a test's own folder would be too deep.
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._folder.chmod(0o755)
        try:
            with contextlib.ExitStack() as free:
                ports = [
                    free.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
                    for _ in range(2)
                ]
                self.port, self.tls_port = ports
            (self._folder / "mail").mkdir()
            self._own(self._folder / "mail")
            secret = base64.b64encode(PASSWORD.encode()).decode()
            secrets = "".join(f"{user}:{{PLAIN.b64}}{secret}\n" for user in self.users)
            (self._folder / "users").write_text(secrets)
            (self._folder / "log").touch()
            (self._folder / "log").chmod(0o666)
            (self._folder / "dovecot.conf").write_text(
                configuration(
                    self._folder,
                    self._owner,
                    port=self.port,
                    tls_port=self.tls_port,
                    certificate=self._certificate,
                    settings=self._settings,
                )
            )
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, maildir: Path) -> None:
        if (maildir / "cur").is_dir():
            return
        home = self._folder / "mail" / maildir.relative_to(self._folder / "mail").parts[0]
        for folder in (home, maildir, *(maildir / name for name in ("cur", "new", "tmp"))):
            folder.mkdir(exist_ok=True)
            self._own(folder)

    def _own(self, path: Path) -> None:
        if self._root:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
