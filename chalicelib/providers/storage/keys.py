"""Which keys a store takes, whichever store it is."""

from __future__ import annotations

from chalicelib.errors import AttachmentUnavailable

MAX_KEY = 1024  # bytes: the limit of S3


def checked(key: str) -> str:
    """The key, if it names a place inside the store: segments between slashes, none of them empty,
    `.` or `..`, without backslash or control character. Raises `AttachmentUnavailable`."""
    segments = key.split("/")
    if (
        any(segment in ("", ".", "..") for segment in segments)
        or "\\" in key
        or not key.replace("\u00a0", " ").replace("\u202f", " ").isprintable()
        or len(key.encode("utf-8", "replace")) > MAX_KEY
    ):
        raise AttachmentUnavailable(
            "Le chemin du document n’est pas permis : corrigez-le dans la fiche."
        )
    return key


def missing(key: str) -> AttachmentUnavailable:
    return AttachmentUnavailable(
        f"Le document « {key} » est introuvable : déposez-le à cet endroit."
    )


def too_large(key: str, max_bytes: int) -> AttachmentUnavailable:
    limit = f"{max_bytes / 1_000_000:.1f}".replace(".", ",")
    return AttachmentUnavailable(f"Le document « {key} » dépasse {limit} Mo : allégez-le.")
