"""The fields of a form that a browser or a mail service posted, whichever way it encoded them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from chalicelib.errors import BadRequest
from chalicelib.routes.call import Call

LONGEST = 20_000
MOST_FIELDS = 50
_MULTIPART = "multipart/form-data"


def fields(call: Call) -> dict[str, str]:
    """Name → value, the last one where there are several. A body in any other type than multipart
    is read as a URL-encoded form. Raises `BadRequest` for one that is too long."""
    body = call.body(LONGEST)
    kind = call.header("content-type")
    if kind.strip().lower().startswith(_MULTIPART):
        return _multipart(kind, body)
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise BadRequest("Ce formulaire a trop de champs.") from None
    return {name: value.strip() for name, value in pairs}


def _multipart(kind: str, body: bytes) -> dict[str, str]:
    from email import message_from_bytes  # only some mail services encode this way

    head = " ".join(kind.split()).encode("ascii", "replace")
    message = message_from_bytes(b"Content-Type: " + head + b"\r\n\r\n" + body)
    if not message.is_multipart():
        return {}
    found: dict[str, str] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content.decode("utf-8", "replace").strip()
    return found
