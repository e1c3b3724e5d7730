"""A one-page PDF of a few lines of text, without a library."""

from __future__ import annotations

from collections.abc import Sequence

LEFT, TOP, LEADING = 56, 780, 18


def page(lines: Sequence[str]) -> bytes:
    """An A4 page with these lines, the first one larger. Characters outside Windows-1252 become
    question marks: the standard fonts have no others."""
    text = [b"BT", f"/F1 18 Tf {LEFT} {TOP} Td {LEADING} TL".encode()]
    for number, line in enumerate(lines):
        if number == 1:
            text.append(b"/F1 11 Tf T*")
        text.append(b"(" + _escaped(line) + b") Tj T*")
    content = b"\n".join([*text, b"ET"])
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (fr-FR) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    document = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    document += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return document + b"startxref\n%d\n%%%%EOF\n" % start


def _escaped(text: str) -> bytes:
    encoded = text.replace("\u202f", "\u00a0").encode("cp1252", "replace")
    return encoded.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
