"""Which keys a store takes, whichever store it is."""

from __future__ import annotations

from chalicelib.errors import AttachmentUnavailable

MAX_KEY = 1024  # bytes: the limit of S3
# Characters of a business id that stand for themselves in a key.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_LONGEST_ID = 100


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


def mail_key(business_id: str, content_sha256: bytes) -> str:
    """Where the raw bytes of an e-mail are kept, once however many mailboxes hold it."""
    name = content_sha256.hex()
    return f"{business_folder(business_id)}/mail/{name[:2]}/{name}.eml"


def mail_part_key(business_id: str, content_sha256: bytes) -> str:
    """Where an attachment is kept, once however many e-mails bring it."""
    name = content_sha256.hex()
    return f"{business_folder(business_id)}/mail/parts/{name[:2]}/{name}"


def business_folder(business_id: str) -> str:
    """A segment of a key for any id whatever, and another one for any other id. Plain ids are
    themselves (`B1`, `acme-2`): the documents that users keep begin so."""
    coded = "".join(
        c if c in _PLAIN else "".join(f"%{byte:02x}" for byte in c.encode("utf-8", "surrogatepass"))
        for c in business_id
    )
    if coded and len(coded) <= _LONGEST_ID:
        return coded
    from hashlib import sha256

    return "%" + sha256(business_id.encode("utf-8", "surrogatepass")).hexdigest()
