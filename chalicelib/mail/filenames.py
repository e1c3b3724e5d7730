"""Names of attachments that every system takes, from whatever their sender calls them."""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS, MAX_BYTES, MAX_EXTENSION = 120, 200, 16
# What it is called when it has no name.
UNNAMED = "piece-jointe"
# Reserved by Windows, with any extension (Naming Files, Paths, and Namespaces).
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\..*)?", re.IGNORECASE | re.DOTALL
)
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_EXTENSIONS = {
    "application/pdf": ".pdf", "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif",
    "image/webp": ".webp", "image/heic": ".heic", "image/tiff": ".tif", "text/plain": ".txt",
    "text/html": ".html", "text/calendar": ".ics", "text/vcard": ".vcf", "text/csv": ".csv",
    "message/rfc822": ".eml", "application/zip": ".zip", "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls", "application/ms-tnef": ".dat", "application/xml": ".xml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/rtf": ".rtf", "application/pgp-signature": ".asc",
    "application/pkcs7-signature": ".p7s", "application/x-pkcs7-signature": ".p7s",
    "application/pkcs7-mime": ".p7m", "audio/mpeg": ".mp3", "video/mp4": ".mp4",
}  # fmt: skip


def safe_name(name: str, kind: str) -> str:
    """A name without path, control, format or directional characters, in NFC, not reserved, short
    enough and never empty. `kind` is the content's type, for the extension of one without name."""
    name = unicodedata.normalize("NFC", name[:4000]).replace("\\", "/")
    name = name.rstrip("/ .").rpartition("/")[2]
    name = "".join(_character(c) for c in name)
    name = _FORBIDDEN.sub("_", name)
    name = " ".join(name.split()).strip(". ")
    if not name.strip("_ .-"):
        return UNNAMED + _EXTENSIONS.get(kind, "")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    return _shortened(name)


def _character(c: str) -> str:
    # Cc, Cf, Cs, Co, Cn: control, format (bidi, zero width), surrogate, private, unassigned.
    # Zl and Zp are line breaks; other blanks are one.
    category = unicodedata.category(c)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return "" if category[0] == "C" else c


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number when one that differs by case only is taken. Adds it to `taken`."""
    chosen, number = name, 2
    while _key(chosen) in taken:
        stem, extension = _split(name)
        chosen = _shortened(f"{stem.rstrip()} ({number}){extension}", len(f" ({number})"))
        number += 1
    taken.add(_key(chosen))
    return chosen


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > MAX_EXTENSION:
        return name, ""
    return stem, dot + extension


def _shortened(name: str, keep: int = 0) -> str:
    """As long as may be, its extension and the last `keep` characters before that included."""
    if len(name) <= MAX_CHARACTERS and len(name.encode()) <= MAX_BYTES:
        return name
    stem, extension = _split(name)
    tail = stem[len(stem) - keep :] + extension if keep else extension
    stem = stem[: len(stem) - keep][: MAX_CHARACTERS - len(tail)]
    room = MAX_BYTES - len(tail.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + tail
