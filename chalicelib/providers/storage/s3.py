"""Documents in an S3 bucket."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.errors import AttachmentUnavailable, ProviderError
from chalicelib.providers.storage.keys import checked, missing, too_large

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


class S3Storage:
    """Keys live below `prefix`. Reading and writing may be repeated, so botocore tries three times.
    Times are in seconds; `endpoint_url` is for tests and compatible stores."""

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
        from botocore.exceptions import BotoCoreError, ClientError

        place = self._prefix + checked(key)
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=place)
            with closing(answer["Body"]) as body:  # as a context, it would give the raw stream
                size = answer["ContentLength"]
                content: bytes = b"" if size > max_bytes else body.read()
        except ClientError as error:
            raise _refusal(key, error) from error
        except BotoCoreError as error:
            raise _unreachable() from error
        if size > max_bytes:
            raise too_large(key, max_bytes)
        return content

    def write(self, key: str, content: bytes) -> None:
        """See `Storage.write`."""
        from botocore.exceptions import BotoCoreError, ClientError

        place = self._prefix + checked(key)
        try:
            self._client.put_object(Bucket=self._bucket, Key=place, Body=content)
        except ClientError as error:
            raise _refusal(key, error) from error
        except BotoCoreError as error:
            raise _unreachable() from error

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
        message = "Le compartiment S3 des documents n’existe pas : vérifiez les réglages."
        return ProviderError("s3", message, permanent=False, code="configuration")
    if status in (401, 403):
        # S3 also answers 403 for a missing key to those who may not list the bucket.
        message = (
            f"S3 refuse l’accès au document « {key} » : il n’existe pas, ou le rôle n’a pas "
            "s3:GetObject, s3:PutObject et s3:ListBucket."
        )
        return ProviderError("s3", message, permanent=False, code="credentials")
    return _unreachable()


def _unreachable() -> ProviderError:
    message = "Le compartiment S3 des documents est injoignable."
    return ProviderError("s3", message, permanent=False, code="connection")
