"""E-mail through Amazon SES (API v2, SendEmail with raw content).

SES has no idempotency key: a call is made once, botocore's own retries are off, and any doubt about
its outcome is `OutcomeUnknown`. Our reference travels as a message tag, which comes back in the
events of the configuration set; SES replaces our Message-ID with its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.providers.mail.mime import compose, envelope
from chalicelib.providers.mail.port import Accepted, Mail

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

TAG = "ponctuel-message"

_CREDENTIALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_PAUSED = frozenset({"AccountSuspendedException", "SendingPausedException"})
_CONFIGURATION = frozenset({"NotFoundException"})
_MESSAGE = frozenset({"BadRequestException", "MessageRejected", "ValidationException"})
# MessageRejected covers both a bad message and a sender that may not send; only the words tell.
_SENDER_DOMAIN = "MailFromDomainNotVerifiedException"
_UNVERIFIED = ("not verified", "did not have authority", "identities failed the check")
_TOO_LARGE = ("message length", "message size", "maximum size", "too large")

_ADVICE = {
    "sender": "Amazon SES ne connaît pas cet expéditeur : vérifiez l’identité (adresse ou domaine) "
    "dans SES, dans la région de MAIL_URL, et que le compte n’est plus dans le bac à sable.",
    "configuration": "Amazon SES refuse ses réglages : vérifiez la région et le jeu de "
    "configuration de MAIL_URL.",
    "connection": "Amazon SES est injoignable, rien n’a été envoyé : vérifiez la région de "
    "MAIL_URL et l’accès de la fonction à Internet ; un nouvel essai suivra.",
    "credentials": "Amazon SES refuse les droits du compte : vérifiez que le rôle IAM a "
    "ses:SendEmail et ses:SendRawEmail, et que ses identifiants n’ont pas expiré.",
    "paused": "L’envoi est suspendu pour ce compte Amazon SES : voyez sa console.",
    "quota": "Le quota d’envoi du jour d’Amazon SES est épuisé : l’envoi reprendra seul, ou "
    "demandez à AWS un quota plus élevé.",
    "throttled": "Amazon SES demande de ralentir : l’envoi reprendra seul ; si cela dure, baissez "
    "SENDING_CONCURRENCY ou demandez à AWS un débit plus élevé.",
    "timeout": "Amazon SES ne répond pas, rien n’a été envoyé : un nouvel essai suivra.",
    "too_large": "Le message est trop volumineux pour Amazon SES : allégez-le.",
}


class SesProvider:
    """One client per instance, made on first use. Times are in seconds. `endpoint_url` is for tests
    and private endpoints."""

    name = "ses"

    def __init__(
        self,
        region: str,
        configuration_set: str | None = None,
        endpoint_url: str | None = None,
        *,
        connect_timeout: float = 5,
        read_timeout: float = 30,
    ) -> None:
        self._region = region
        self._configuration_set = configuration_set
        self._endpoint_url = endpoint_url
        self._timeouts = (connect_timeout, read_timeout)
        self._client: Any = None
        self.call_timeout = connect_timeout + read_timeout

    def send(self, mail: Mail) -> Accepted:
        """See `MailProvider.send`. SES takes all recipients or none."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        people = envelope(mail)
        request: dict[str, Any] = {
            "Destination": {"ToAddresses": list(people.to), "CcAddresses": list(people.cc)},
            "Content": {"Raw": {"Data": compose(mail)}},
            "EmailTags": [{"Name": TAG, "Value": mail.reference}],
        }
        if self._configuration_set:
            request["ConfigurationSetName"] = self._configuration_set
        client = self._connected()
        # The causes are not chained: botocore's messages quote addresses, and causes reach logs.
        try:
            answer = client.send_email(**request)
        except ClientError as error:
            raise _refusal(error) from None
        except BotoCoreError as error:
            raise _failure(error) from None
        except (ResponseParserError, AttributeError, TypeError, ValueError):
            raise _unknown() from None  # botocore’s parser, on what is no JSON object
        provider_id = answer.get("MessageId")
        if not isinstance(provider_id, str) or not provider_id:
            raise _unknown()
        return Accepted(provider_id)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            connect_timeout, read_timeout = self._timeouts
            config = Config(
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                retries={"total_max_attempts": 1, "mode": "standard"},
            )
            try:
                # A session of its own: two threads must not share boto3's default one.
                self._client = boto3.session.Session().client(
                    "sesv2",
                    region_name=self._region,
                    endpoint_url=self._endpoint_url,
                    config=config,
                )
            except (BotoCoreError, ValueError):
                raise _error("configuration") from None
        return self._client


def _refusal(error: ClientError) -> ProviderError | OutcomeUnknown:
    """SES (or something on the way) answered with an error."""
    details = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, text = str(details.get("Code", "")), str(details.get("Message", "")).lower()
    if status >= 500 or status < 300:
        return _unknown()  # SES may have failed after it had taken the message
    if code in _THROTTLED or status == 429:
        return _error("quota" if "daily" in text else "throttled")
    if code in _PAUSED or "paused" in text or "suspended" in text:
        return _error("paused")
    if code == _SENDER_DOMAIN or any(words in text for words in _UNVERIFIED):
        return _error("sender")  # one business's identity: the others may send
    if code in _CONFIGURATION:
        return _error("configuration")
    if code in _CREDENTIALS or status in (401, 403):
        return _error("credentials")
    if status == 413 or (code in _MESSAGE and any(words in text for words in _TOO_LARGE)):
        return _error("too_large", permanent=True)
    if code in _MESSAGE:
        message = (
            "Amazon SES refuse ce message : vérifiez l’adresse, l’objet et les pièces jointes."
        )
        return ProviderError("ses", f"{message} ({code})", permanent=True, code=code)
    # An answer that SES is not known to give: nothing was accepted, but nobody is to blame yet.
    message = f"Réponse inattendue d’Amazon SES (HTTP {status}) : rien n’a été envoyé."
    return ProviderError("ses", message, permanent=False, code=f"http_{status}")


def _failure(error: BotoCoreError) -> ProviderError | OutcomeUnknown:
    """There was no answer, or none that can be read. Only what surely comes before the request was
    sent is an error; the rest is unknown."""
    from botocore import exceptions

    if isinstance(error, exceptions.ConnectTimeoutError):
        return _error("timeout")
    if isinstance(error, exceptions.EndpointConnectionError | exceptions.ProxyConnectionError):
        return _error("connection")
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _error("connection")
    if isinstance(
        error,
        exceptions.NoCredentialsError
        | exceptions.PartialCredentialsError
        | exceptions.CredentialRetrievalError
        | exceptions.MetadataRetrievalError
        | exceptions.TokenRetrievalError
        | exceptions.LoginError
        | exceptions.SSOError,
    ):
        return _error("credentials")
    if isinstance(error, exceptions.EndpointProviderError | exceptions.ParamValidationError):
        return _error("configuration")
    return _unknown()


def _error(code: str, *, permanent: bool = False) -> ProviderError:
    return ProviderError("ses", _ADVICE[code], permanent=permanent, code=code)


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "ses", "La réponse d’Amazon SES s’est perdue : le message est peut-être parti."
    )
