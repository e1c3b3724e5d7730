"""The two pages that Amazon SNS asks us to fetch: its signing certificate, and the address that
confirms a subscription."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import urlsplit

from chalicelib.errors import ProviderError
from chalicelib.providers.https import AnswerLost, HttpsClient, NotSent

# SNS waits 15 s for our own answer.
CONNECT_S = 3.0
CALL_S = 6.0
_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


def fetch(url: str) -> bytes:
    """What an https address of SNS answers, over verified TLS, without following redirections.
    `url` has to be checked already (`webhooks.sns`); any other host is refused all the same. Raises
    `ProviderError`, transient: SNS repeats what we did not take."""
    parts = urlsplit(url)
    if not parts.netloc.endswith(_HOSTS):
        raise _failed("host")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    client = HttpsClient(f"https://{parts.netloc}", connect_timeout=CONNECT_S, call_timeout=CALL_S)
    with closing(client):
        try:
            answer = client.call("GET", path, {}, b"")
        except (NotSent, AnswerLost):
            raise _failed("connection") from None
    if answer.status != 200:
        raise _failed(f"http_{answer.status}")
    return answer.body


def _failed(code: str) -> ProviderError:
    return ProviderError(
        "sns",
        "Amazon SNS n’a pas donné la page demandée : il renverra cette notification.",
        permanent=False,
        code=code,
    )
