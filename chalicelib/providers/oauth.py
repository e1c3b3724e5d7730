"""Google's and Microsoft's token endpoints: a refresh token in, an access token out.

    curl https://oauth2.googleapis.com/token -d grant_type=refresh_token -d refresh_token=… …

Both answer errors as RFC 6749, 5.2 has them: 400 or 401 with `{"error": …}`; Microsoft adds
`error_description` with its AADSTS number, `error_codes`, `trace_id`, `correlation_id`, of which
its documentation says that no program shall depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from chalicelib.errors import ProviderError, SettingsError
from chalicelib.providers.https import Answer, AnswerLost, HttpsClient, NotSent, usable
from chalicelib.providers.imap.port import ImapError

Issuer = Literal["google", "microsoft"]

# Of an access token, in seconds, where the answer does not say: RFC 6749 only recommends saying it.
USUAL_LIFE = 3600
LONGEST_LIFE = 24 * 3600
LONGEST_TOKEN = 16_384  # characters; Microsoft's have about 2,500

_BASE = {
    "google": "https://oauth2.googleapis.com",
    "microsoft": "https://login.microsoftonline.com",
}
_NAME = {"google": "Google", "microsoft": "Microsoft"}
_SETTING = {"google": "GOOGLE_OAUTH_URL", "microsoft": "MICROSOFT_OAUTH_URL"}
_MICROSOFT_SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"

# The person has to sign in again (the first is RFC 6749's, the others Microsoft's and Google's).
_REAUTHORISE = frozenset(
    {
        "invalid_grant",
        "interaction_required",
        "login_required",
        "consent_required",
        "access_denied",
        "admin_policy_enforced",
    }
)
# Our application is wrong: its id, its secret, its rights.
_OURS = frozenset(
    {
        "invalid_client",
        "unauthorized_client",
        "deleted_client",
        "disabled_client",
        "invalid_scope",
        "invalid_request",
        "unsupported_grant_type",
        "org_internal",
    }
)


@dataclass(frozen=True)
class Renewed:
    """`refresh_token`: the new one, or None when the old one stays. `seconds`: how long the access
    token is good for, from before the request."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    seconds: int


class TokenIssuer:
    """One application at one issuer. Each `renew` is a connection of its own: any thread may."""

    def __init__(self, url: str, *, connect_timeout: float = 5, call_timeout: float = 15) -> None:
        """`google://client_id:secret@` or `microsoft://client_id:secret@tenant`, percent-encoded;
        `?base_url=` is for tests and the sandbox, on this machine only. Times in seconds. Raises
        `SettingsError`."""
        self.issuer, self._client_id, self._secret, self._tenant, self._base = _parsed(url)
        self._connect_timeout = connect_timeout
        self._call_timeout = call_timeout

    @property
    def base_url(self) -> str:
        return self._base

    @property
    def longest_call(self) -> float:
        """Seconds that a `renew` takes at most, name look-up apart."""
        return self._connect_timeout + self._call_timeout

    def renew(self, refresh_token: str) -> Renewed:
        """Asks for an access token. Raises `ImapError` (`reauthorise`; `unavailable`, `connection`
        when it may be better later) or `SettingsError`: the application is at fault. Neither quotes
        anything of the answer."""
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self._client_id,
        }
        if self._secret:
            fields["client_secret"] = self._secret
        if self.issuer == "microsoft":
            fields["scope"] = _MICROSOFT_SCOPE
        client = HttpsClient(
            self._base, connect_timeout=self._connect_timeout, call_timeout=self._call_timeout
        )
        try:
            answer = client.call(
                "POST",
                "/token" if self.issuer == "google" else f"/{self._tenant}/oauth2/v2.0/token",
                {"Content-Type": "application/x-www-form-urlencoded"},
                urlencode(fields).encode("ascii"),
            )
        except (NotSent, AnswerLost):
            raise self._later("connection", "ne répond pas") from None
        finally:
            client.close()
        return self._understood(answer)

    def _understood(self, answer: Answer) -> Renewed:
        content = answer.json_object()
        if answer.status == 200 and content is not None:
            access, refresh = content.get("access_token"), content.get("refresh_token")
            if _is_token(access):
                return Renewed(access, refresh if _is_token(refresh) else None, _life(content))
        error = content.get("error") if content is not None and 400 <= answer.status < 500 else ""
        if not isinstance(error, str):
            error = ""
        if error in _REAUTHORISE:
            raise ImapError(
                "reauthorise",
                f"L’autorisation donnée à {_NAME[self.issuer]} n’est plus valable : il faut se "
                "reconnecter.",
            )
        if error in _OURS:
            raise SettingsError(
                f"{_NAME[self.issuer]} refuse notre application ({error}) : vérifiez "
                f"{_SETTING[self.issuer]} (identifiant, secret, date d’expiration du secret, "
                "droits).",
                code="oauth_client",
            )
        raise self._later("unavailable", "ne peut pas renouveler l’accès pour le moment")

    def _later(self, code: Literal["connection", "unavailable"], what: str) -> ImapError:
        return ImapError(
            code,
            f"Le service de connexion de {_NAME[self.issuer]} {what} : nouvel essai plus tard.",
        )


def google_base(url: str | None) -> str:
    """Where Google is asked, by the setting of an application; Google itself without one. Raises
    `SettingsError`."""
    return TokenIssuer(url).base_url if url else _BASE["google"]


def revoke(refresh_token: str, *, base_url: str) -> bool:
    """Gives Google back what a refresh token stands for, with every access token of it
    (developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke). Whether it was good
    until now; it may be repeated. Raises `ProviderError`, transient unless Google refuses the
    request; a lost answer is transient too."""
    client = HttpsClient(base_url, connect_timeout=5, call_timeout=15)
    try:
        answer = client.call(
            "POST",
            "/revoke",
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode({"token": refresh_token}).encode("ascii"),
        )
    except (NotSent, AnswerLost):
        raise ProviderError(
            "google", "Google ne répond pas.", permanent=False, code="revoke_unreachable"
        ) from None
    finally:
        client.close()
    error = (answer.json_object() or {}).get("error")
    if answer.status == 200 or (answer.status == 400 and error == "invalid_token"):
        return answer.status == 200
    raise ProviderError(
        "google",
        f"Google ne retire pas l'accès d'une boîte (réponse {answer.status}).",
        permanent=answer.status in (400, 401, 403),
        code=f"revoke_{answer.status}",
        retry_after=answer.retry_after(),
    )


def _is_token(found: Any) -> TypeGuard[str]:
    """Visible ASCII (RFC 6749, A.12 and A.17), since it goes into a SASL answer."""
    return (
        isinstance(found, str)
        and 0 < len(found) <= LONGEST_TOKEN
        and found.isascii()
        and found.isprintable()
        and " " not in found
    )


def _life(content: dict[str, Any]) -> int:
    """Some servers write the number as a string."""
    try:
        seconds = int(content.get("expires_in", USUAL_LIFE))
    except (TypeError, ValueError, OverflowError):
        return USUAL_LIFE
    return max(0, min(seconds, LONGEST_LIFE))


def _parsed(url: str) -> tuple[Issuer, str, str, str, str]:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        client_id, secret = unquote(parts.username or ""), unquote(parts.password or "")
        tenant, issuer = parts.hostname or "", parts.scheme
    except ValueError:
        raise _unusable() from None  # its message quotes the URL, with the secret
    local = options.pop("base_url", None)
    if options or not client_id or (local and not (local.startswith("http://") and usable(local))):
        raise _unusable()
    base = local or _BASE.get(issuer, "")
    if issuer == "google" and secret and not tenant:
        return "google", client_id, secret, "", base
    if issuer == "microsoft" and tenant:
        return "microsoft", client_id, secret, tenant, base
    raise _unusable()


def _unusable() -> SettingsError:
    return SettingsError(
        "Réglage des boîtes sans mot de passe illisible : attendu google://client:secret@ ou "
        "microsoft://client:secret@locataire. Dans le secret, les caractères spéciaux s’écrivent "
        "%XX."
    )
