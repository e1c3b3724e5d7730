"""The one error tree. A message says, in French, what happened and what to do about it."""

from __future__ import annotations


class PonctuelError(Exception):
    """Root of every error that Ponctuel raises on purpose.

    `code` is a stable English identifier for logs and answers; `str(error)` is French and may be
    shown to a person: it never holds a secret, an address or a message body.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class SettingsError(PonctuelError):
    """A setting is missing or unusable; the operator has to change it."""

    code = "settings"


class NotConfigured(SettingsError):
    """No secret is configured: nothing may run over HTTP (answered 503)."""

    code = "not_configured"


class BadRequest(PonctuelError):
    """The caller asked for something that cannot be done as asked (answered 400)."""

    code = "bad_request"


class Unauthorized(PonctuelError):
    """The secret is missing or wrong (answered 401 or 403, by route)."""

    code = "unauthorized"


class NotFound(PonctuelError):
    """No such job, run, message or document (answered 404)."""

    code = "not_found"


class Conflict(PonctuelError):
    """What is asked for cannot be done as things are (answered 409)."""

    code = "conflict"


class DatabaseUnavailable(PonctuelError):
    """PostgreSQL cannot be reached, or refuses writes."""

    code = "database_unavailable"


class SchemaOutdated(PonctuelError):
    """The database's schema is older than this code: `migrate` has not run yet."""

    code = "schema_outdated"


class DatabaseRestored(PonctuelError):
    """The database is a copy that does not know of all that was sent: nothing may leave before an
    operator has accepted it (`./ponctuel ledger reconcile`)."""

    code = "database_restored"


class LeaseLost(PonctuelError):
    """Another process took the lease: this one may write nothing more for the run."""

    code = "lease_lost"


class ItemFailed(PonctuelError):
    """One item cannot be treated; the others go on and the run ends *partial*."""

    code = "item_failed"


class ProviderError(PonctuelError):
    """A provider refused or could not be asked: it is certain that it accepted nothing.

    `permanent` tells whether trying again is pointless. `retry_after` is the provider's own wish in
    seconds, when it gave one. `code` is the provider's code, kept for the ledger.
    """

    code = "provider"

    def __init__(
        self,
        provider: str,
        message: str,
        *,
        permanent: bool,
        code: str = "provider",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.provider = provider
        self.permanent = permanent
        self.retry_after = retry_after


class OutcomeUnknown(PonctuelError):
    """The provider was called and its answer was lost: it may or may not have accepted."""

    code = "uncertain"

    def __init__(self, provider: str, message: str, *, code: str = "uncertain") -> None:
        super().__init__(message, code=code)
        self.provider = provider


class MissingVariable(PonctuelError):
    """A template asks for a variable without a value: the message is held, not sent with a hole."""

    code = "missing_variable"


class AttachmentUnavailable(PonctuelError):
    """The document to attach is missing or too large: the message is held, not sent without it."""

    code = "attachment"


class Unreadable(PonctuelError):
    """What came is no e-mail that anything can be made of: it has no content at all."""

    code = "unreadable"
