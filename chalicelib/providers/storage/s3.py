"""Documents in an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.errors import AttachmentUnavailable, ProviderError
from chalicelib.providers.storage.keys import checked, missing, too_large

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

# Error codes of Amazon S3's API reference, with those of STS and KMS that come through it.
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
_ELSEWHERE = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
        "Redirect",
        "TemporaryRedirect",
    }
)
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)

_ADVICE = {
    "connection": "Le compartiment S3 des documents est injoignable : vérifiez STORAGE_URL et "
    "l’accès de la fonction à Internet ; un nouvel essai suivra.",
    "credentials": "S3 refuse les identifiants AWS : ils sont absents, expirés ou inconnus ; "
    "vérifiez le rôle de la fonction.",
    "elsewhere": "Le compartiment S3 des documents est dans une autre région : ajoutez "
    "?region=… à STORAGE_URL.",
    "missing_bucket": "Le compartiment S3 des documents n’existe pas : corrigez STORAGE_URL, ou "
    "créez-le.",
    "configuration": "Le compartiment S3 des documents a un nom ou des options impossibles : "
    "corrigez STORAGE_URL.",
    "throttled": "S3 demande de ralentir : un nouvel essai suivra.",
}


class S3Storage:
    """Keys live below `prefix`. Reading and writing may be repeated, so botocore tries three times.
    Times are in seconds; `endpoint_url` is for tests and compatible stores."""

    # A write is a call of some 30 ms, and botocore keeps ten connections.
    concurrency = 10

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        connect_timeout: float = 5,
        read_timeout: float = 20,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._region = region
        self._endpoint_url = endpoint_url
        self._timeouts = (connect_timeout, read_timeout)

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """See `Storage.read`. A larger document is given up after its headers."""
        place = self._prefix + checked(key)
        with _told_in_french(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=place)
            with closing(answer["Body"]) as body:  # as a context, it would give the raw stream
                size = answer["ContentLength"]
                content: bytes = b"" if size > max_bytes else body.read()
        if size > max_bytes:
            raise too_large(key, max_bytes)
        return content

    def write(self, key: str, content: bytes) -> None:
        """See `Storage.write`."""
        place = self._prefix + checked(key)
        with _told_in_french(key):
            self._client.put_object(Bucket=self._bucket, Key=place, Body=content)

    def write_file(self, key: str, path: Path) -> None:
        """See `Storage.write_file`. botocore reads the file piece by piece, twice without TLS: once
        for its checksum."""
        place = self._prefix + checked(key)
        with path.open("rb") as file, _told_in_french(key):
            self._client.put_object(Bucket=self._bucket, Key=place, Body=file)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        from botocore.exceptions import ClientError

        place = self._prefix + checked(key)
        with _told_in_french(key):
            try:
                self._client.head_object(Bucket=self._bucket, Key=place)
            except ClientError as error:
                # An answer to HEAD has no body, so no code other than its status; a bucket that
                # does not exist is told apart when the document is written.
                if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey"):
                    return False
                raise
        return True

    def keys(self, folder: str) -> list[str]:
        """See `Storage.keys`. A thousand for each call."""
        place = f"{self._prefix}{checked(folder)}/"
        with _told_in_french(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=place
            )
            return sorted(
                item["Key"].removeprefix(self._prefix)
                for page in pages
                for item in page.get("Contents", ())
            )

    def delete(self, key: str) -> None:
        """See `Storage.delete`. S3 answers 204 for a key that has no document, too."""
        place = self._prefix + checked(key)
        with _told_in_french(key):
            self._client.delete_object(Bucket=self._bucket, Key=place)

    def close(self) -> None:
        """Ends the kept connections; a later call opens others."""
        if "_client" in self.__dict__:
            self._client.close()
            del self._client

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        connect_timeout, read_timeout = self._timeouts
        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"total_max_attempts": 3, "mode": "standard"},
        )
        # A session of its own: boto3's default one must not be used by two threads at once.
        return boto3.session.Session().client(
            "s3", region_name=self._region, endpoint_url=self._endpoint_url, config=config
        )


@contextmanager
def _told_in_french(key: str) -> Iterator[None]:
    """Botocore's errors become `AttachmentUnavailable` and `ProviderError`."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _refusal(key, error) from error
    except BotoCoreError as error:
        raise _failure(error) from error
    except ResponseParserError as error:  # what answers is no S3: a proxy, a portal
        raise _error("connection") from error


def _refusal(key: str, error: ClientError) -> AttachmentUnavailable | ProviderError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchKey":
        return missing(key)
    if code == "InvalidObjectState":
        return AttachmentUnavailable(
            f"Le document « {key} » est archivé : restaurez-le dans le compartiment S3."
        )
    if code == "NoSuchBucket":
        return _error("missing_bucket", "configuration")
    if code in _ELSEWHERE or status in (301, 307):
        return _error("elsewhere", "configuration")
    if code in _CREDENTIALS:
        return _error("credentials")
    if status in (401, 403):
        # S3 also answers 403 for a missing key to those who may not list the bucket.
        message = (
            f"S3 refuse l’accès au document « {key} » : il n’existe pas, ou le rôle n’a pas "
            "s3:GetObject, s3:PutObject, s3:DeleteObject et s3:ListBucket."
        )
        return ProviderError("s3", message, permanent=False, code="credentials")
    if code in _THROTTLED or status == 429:
        return _error("throttled")
    return _error("connection")


def _failure(error: BotoCoreError) -> ProviderError:
    """There was no answer of S3's, or the request could not be made."""
    from botocore import exceptions

    if isinstance(
        error,
        exceptions.NoCredentialsError
        | exceptions.PartialCredentialsError
        | exceptions.CredentialRetrievalError
        | exceptions.MetadataRetrievalError
        | exceptions.TokenRetrievalError,
    ):
        return _error("credentials")
    if isinstance(
        error,
        exceptions.ParamValidationError
        | exceptions.EndpointProviderError
        | exceptions.NoRegionError
        | exceptions.InvalidRegionError,
    ):
        return _error("configuration")
    return _error("connection")


def _error(advice: str, code: str | None = None) -> ProviderError:
    """Never permanent: nothing is wrong with the document, which waits until this is repaired."""
    return ProviderError("s3", _ADVICE[advice], permanent=False, code=code or advice)
