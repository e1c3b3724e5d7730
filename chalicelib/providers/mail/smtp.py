"""E-mail through an SMTP server, with exact knowledge of the outcome.

Until the server has asked for the content, nothing can have been accepted: every failure is a
`ProviderError`. Once the first byte of the content may have left, only a complete answer counts,
and its absence is `OutcomeUnknown`.
"""

from __future__ import annotations

import math
import re
import ssl
import time
from dataclasses import dataclass, field
from typing import Literal

from chalicelib.errors import OutcomeUnknown, ProviderError, SettingsError
from chalicelib.providers.mail.mime import Envelope, compose, envelope
from chalicelib.providers.mail.port import Accepted, Mail
from chalicelib.providers.mail.smtp_refusals import refusal, without_addresses
from chalicelib.providers.mail.smtp_session import Deadline, Reply, SmtpSession
from chalicelib.providers.mail.smtp_transaction import Opened, expect, open_transaction

_HOST = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}|[0-9A-Fa-f:.]+")
_PARTING_TIMEOUT = 0.2  # seconds to read what a server said before it stopped taking the content
_PROBE_TIMEOUT = 5  # seconds for a kept connection to show that it lives, before opening another
_PROBE_AFTER = 5  # seconds since it took a message; before, nothing is asked: nothing is to reset
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_QUEUE_ID = re.compile(  # Postfix, Exim, Exchange, SES
    r"queued as ([\w.-]+)|\bid=([\w.-]+)|InternalId=(\d+)|\bOk:? ([0-9a-f]{8,}-[0-9a-f-]+)$", re.I
)


@dataclass(frozen=True)
class SmtpSettings:
    """Where and how to send. Times are in seconds; `call_timeout` bounds a whole call of `send`
    (name look-up apart), the others its phases. `ca_file` is a PEM file of authorities to trust
    instead of the system's."""

    host: str
    port: int = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca_file: str | None = None
    connect_timeout: float = 10
    command_timeout: float = 20
    answer_timeout: float = 45
    call_timeout: float = 60

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host) or not 0 < self.port < 65536:
            raise SettingsError("Réglage d’e-mail : indiquez le nom du serveur SMTP et son port.")
        if self.tls == "none" and self.password and self.host not in _LOOPBACK:
            raise SettingsError(
                "Réglage d’e-mail : un mot de passe ne part jamais sans chiffrement ; utilisez "
                "tls=starttls ou smtps://."
            )


class SmtpProvider:
    """Keeps its connection from one message to the next. One thread only."""

    name = "smtp"

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._session: SmtpSession | None = None
        self._accepted_at = -math.inf  # monotonic; the session's last transaction ended well then
        self.call_timeout = settings.call_timeout + _PARTING_TIMEOUT

    def send(self, mail: Mail) -> Accepted:
        """See `MailProvider.send`. It is accepted when at least one `to` recipient was: a copy to
        the accountant alone is no message to the customer. The others are in
        `refused_recipients`."""
        # First: composing ten megabytes takes time too, and a call must not outlast its bound.
        deadline = Deadline(self._settings.call_timeout)
        people, content = envelope(mail), compose(mail)
        try:
            opened = self._open_on_kept(people, len(content), deadline)
            if opened is None:
                self._session = self._connect(deadline)
                opened = self._open(self._session, people, len(content), deadline, kept=False)
        except OSError as error:
            self._discard()
            raise self._unreachable(error) from error
        except ProviderError:
            if self._session is not None and self._session.closing:
                self._discard()
            raise
        return self._transmit(opened, content, deadline)

    def close(self) -> None:
        if self._session is not None:
            try:
                self._session.command("QUIT", Deadline(1))
            except OSError:
                pass  # it was lost already, and there is nothing left to lose
            finally:
                self._discard()

    def _discard(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
            self._accepted_at = -math.inf

    def _open_on_kept(self, people: Envelope, size: int, deadline: Deadline) -> Opened | None:
        """On the kept connection; None if there is none, or if it turns out to be lost: servers
        close idle connections, and nothing has been sent yet."""
        if self._session is None:
            return None
        try:
            if self._fresh(self._session, deadline):
                return self._open(self._session, people, size, deadline, kept=True)
        except OSError:
            pass
        self._discard()
        return None

    def _fresh(self, session: SmtpSession, deadline: Deadline) -> bool:
        """Whether the session takes a new transaction: as it has just ended one well, or says so
        when asked."""
        accepted_at, self._accepted_at = self._accepted_at, -math.inf
        if time.monotonic() - accepted_at < _PROBE_AFTER:
            return True
        probe = deadline.at_most(min(_PROBE_TIMEOUT, self._settings.command_timeout))
        return session.command("RSET", probe).code == 250

    def _connect(self, deadline: Deadline) -> SmtpSession:
        settings = self._settings
        phase = deadline.at_most(settings.connect_timeout)
        session = SmtpSession.connect(settings.host, settings.port, phase)
        try:
            if settings.tls == "implicit":
                session.encrypt(self._context(), settings.host, phase)
            expect("greeting", 220, session, session.reply(self._command(deadline)))
            expect("greeting", 250, session, session.hello(self._command(deadline)))
            if settings.tls == "starttls":
                if "STARTTLS" not in session.extensions:
                    raise _configuration("Le serveur d’e-mail n’offre pas STARTTLS.")
                reply = session.command("STARTTLS", self._command(deadline))
                expect("greeting", 220, session, reply)
                session.encrypt(self._context(), settings.host, self._command(deadline))
                expect("greeting", 250, session, session.hello(self._command(deadline)))
            if settings.username:
                verdict = session.login(
                    settings.username, settings.password, self._command(deadline)
                )
                if verdict is None:
                    raise _configuration("Le serveur d’e-mail ne propose ni PLAIN ni LOGIN.")
                expect("login", 235, session, verdict)
        except BaseException:
            session.close()
            raise
        return session

    def _open(
        self, session: SmtpSession, people: Envelope, size: int, deadline: Deadline, *, kept: bool
    ) -> Opened:
        return open_transaction(session, people, size, lambda: self._command(deadline), kept=kept)

    def _transmit(self, opened: Opened, content: bytes, deadline: Deadline) -> Accepted:
        session = opened.session
        sent = False
        try:
            session.send_content(content, deadline)
            sent = True
            reply = session.reply(deadline.at_most(self._settings.answer_timeout))
        except OSError as error:
            # A server that hangs up on the content may have said why; that is an answer too.
            parting = None if sent else _parting_reply(session)
            self._discard()
            if parting is None:
                raise _unknown() from error
            reply = parting
        if 200 <= reply.code < 300 and sent:
            self._accepted_at = time.monotonic()
            return Accepted(_provider_id(reply), opened.refused)
        if reply.code < 400:
            self._discard()
            raise _unknown()
        if session.closing:
            self._discard()
        raise refusal("content", reply, encrypted=session.encrypted)

    def _command(self, deadline: Deadline) -> Deadline:
        return deadline.at_most(self._settings.command_timeout)

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            raise _configuration("Le fichier des autorités de confiance est illisible.") from error

    def _unreachable(self, error: OSError) -> ProviderError:
        where = f"{self._settings.host}:{self._settings.port}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return _configuration(f"Le certificat du serveur d’e-mail {where} n’est pas reconnu.")
        if isinstance(error, TimeoutError):
            message = f"Le serveur d’e-mail {where} ne répond pas : rien n’a été envoyé."
            return ProviderError("smtp", message, permanent=False, code="timeout")
        message = f"Le serveur d’e-mail {where} est injoignable : rien n’a été envoyé."
        return ProviderError("smtp", message, permanent=False, code="connection")


def _parting_reply(session: SmtpSession) -> Reply | None:
    try:
        return session.reply(Deadline(_PARTING_TIMEOUT))
    except OSError:
        return None


def _provider_id(reply: Reply) -> str:
    found = _QUEUE_ID.search(reply.text)
    return next(filter(None, found.groups())) if found else without_addresses(reply.text)


def _configuration(message: str) -> ProviderError:
    advice = f"{message} Vérifiez les réglages d’e-mail."
    return ProviderError("smtp", advice, permanent=False, code="configuration")


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "smtp",
        "La réponse du serveur d’e-mail s’est perdue : le message est peut-être parti.",
    )
