"""Where documents are kept. `open_storage` reads it from a setting; adapters load on first use."""

from __future__ import annotations

from chalicelib.errors import SettingsError
from chalicelib.providers.storage.port import Storage


def open_storage(url: str) -> Storage:
    """A store, safe for several threads: `s3://bucket/prefix` (with `?region=` and, for tests,
    `&endpoint_url=`), or `file:///folder` (percent-encoded, absolute). Raises `SettingsError`."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _unusable() from None
    if parts.scheme == "s3" and parts.netloc and options.keys() <= {"region", "endpoint_url"}:
        from chalicelib.providers.storage.s3 import S3Storage

        return S3Storage(
            parts.netloc,
            unquote(parts.path),
            region=options.get("region"),
            endpoint_url=options.get("endpoint_url"),
        )
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/") and not options:
        from pathlib import Path

        from chalicelib.providers.storage.folder import FolderStorage

        return FolderStorage(Path(unquote(parts.path)))
    raise _unusable()


def _unusable() -> SettingsError:
    return SettingsError(
        "Réglage des documents illisible : attendu s3://compartiment/préfixe ou file:///dossier."
    )
