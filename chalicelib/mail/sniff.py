"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

import re

OCTETS = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"\x78\x9f\x3e\x22", "application/ms-tnef"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"MSCF", "application/vnd.ms-cab-compressed"),
    (257, b"ustar", "application/x-tar"),
    (0x8001, b"CD001", "application/x-iso9660-image"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"L\0\0\0\x01\x14\x02\0", "application/x-ms-shortcut"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%!PS", "application/postscript"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"#!/", "text/x-script"),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_IN_ZIP = (
    (b"word/", _OFFICE + "wordprocessingml.document"),
    (b"xl/", _OFFICE + "spreadsheetml.sheet"),
    (b"ppt/", _OFFICE + "presentationml.presentation"),
    (b"META-INF/MANIFEST.MF", "application/java-archive"),
)
_MIMETYPE = re.compile(rb"mimetype(application/(?:vnd\.oasis\.opendocument|epub)[a-z.+-]*)")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_IN_OLE = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__substg1.0_", "application/vnd.ms-outlook"),
)
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|script)[\s>]", re.IGNORECASE)
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_EMAIL = re.compile(
    rb"(?:(?:from|to|received|return-path|message-id|date|subject|mime-version|delivered-to"
    rb"|dkim-signature)[ \t]*:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*){2}",
    re.IGNORECASE,
)
# Characters that text has not.
_BINARY = bytes([*range(7), 14, 15, *range(16, 26), *range(28, 32)])
_HEAD, _INSIDE = 4096, 65_536


def sniffed(content: bytes, declared: str) -> str:
    """A media type. What is text is of its declared type if that is a kind of text without power to
    act; what is not known is `application/octet-stream`."""
    if content.startswith(_ZIP):
        return _zip(content)
    if content.startswith(_OLE):
        return _ole(content)
    for offset, magic, kind in _MAGIC:
        if content.startswith(magic, offset):
            return kind
    head = content[:_HEAD]
    if not head:
        return OCTETS
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for begin, kind in (
        (b"BEGIN:VCALENDAR", "text/calendar"),
        (b"BEGIN:VCARD", "text/vcard"),
        (b"-----BEGIN PGP", "application/pgp"),
    ):
        if start[: len(begin)].upper() == begin:
            return kind
    if start[:1] == b"<":
        if _SVG.search(start):
            return "image/svg+xml"
        if _HTML.search(start):
            return "text/html"
        if start.startswith(b"<?xml"):
            return "application/xml"
    if _EMAIL.match(start):
        return "message/rfc822"
    if len(head.translate(None, _BINARY)) < len(head) and head[:2] not in (
        b"\xff\xfe",
        b"\xfe\xff",
    ):
        return OCTETS
    plain = declared.startswith("text/") or declared in ("application/json", "application/csv")
    acts = declared in ("text/html", "text/calendar", "text/javascript", "text/x-script")
    return declared if plain and not acts else "text/plain"


def _zip(content: bytes) -> str:
    """By the names of what is in it, at its beginning and in its directory at its end. Nothing is
    unpacked."""
    declared = _MIMETYPE.search(content, 30, 200)
    if declared is not None:
        return declared[1].decode("ascii")
    for part in (content[:_HEAD], content[-_INSIDE:]):
        for name, kind in _IN_ZIP:
            if name in part:
                return kind
    return "application/zip"


def _ole(content: bytes) -> str:
    """Names in its directory are in UTF-16 (MS-CFB, 2.6); the directory may be anywhere."""
    for name, kind in _IN_OLE:
        if name.encode("utf-16-le") in content:
            return kind
    return "application/x-ole-storage"
