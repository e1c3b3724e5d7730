"""Bytes to text, whatever their sender says that they are."""

from __future__ import annotations

import re
from functools import lru_cache

# Labels without punctuation, as they are met, to Python's codecs. Only these are ever looked up:
# Python also has codecs that are slow on purpose-made input (punycode, idna) or are no charsets.
# Latin-1 and ASCII are read as windows-1252, as browsers do (WHATWG Encoding, 4.2): whoever labels
# so and has bytes from 0x80 to 0x9F means its quotation marks and its €.
_CODECS = {
    "utf8": "utf-8", "utf8mb4": "utf-8", "utf8n": "utf-8", "unicode11utf8": "utf-8",
    "cp65001": "utf-8", "unicode20utf8": "utf-8", "utf8sig": "utf-8",
    "usascii": "cp1252", "ascii": "cp1252", "ansix341968": "cp1252", "iso646us": "cp1252",
    "iso88591": "cp1252", "latin1": "cp1252", "l1": "cp1252", "iso885911": "cp1252",
    "cp819": "cp1252", "windows1252": "cp1252", "cp1252": "cp1252", "xcp1252": "cp1252",
    "win1252": "cp1252", "ansi": "cp1252", "xansi": "cp1252",
    "iso885915": "iso8859-15", "latin9": "iso8859-15", "latin0": "iso8859-15",
    "iso88592": "iso8859-2", "latin2": "iso8859-2", "iso88593": "iso8859-3", "latin3": "iso8859-3",
    "iso88594": "iso8859-4", "latin4": "iso8859-4", "iso88595": "iso8859-5",
    "cyrillic": "iso8859-5", "iso88596": "iso8859-6", "arabic": "iso8859-6",
    "iso88597": "iso8859-7", "greek": "iso8859-7",
    "iso88598": "iso8859-8", "iso88598i": "iso8859-8", "hebrew": "iso8859-8", "iso88599": "cp1254",
    "latin5": "cp1254", "iso885910": "iso8859-10", "iso885913": "iso8859-13",
    "iso885914": "iso8859-14", "iso885916": "iso8859-16", "latin10": "iso8859-16",
    "windows1250": "cp1250", "cp1250": "cp1250", "windows1251": "cp1251", "cp1251": "cp1251",
    "windows1253": "cp1253", "cp1253": "cp1253", "windows1254": "cp1254", "cp1254": "cp1254",
    "windows1255": "cp1255", "cp1255": "cp1255", "windows1256": "cp1256", "cp1256": "cp1256",
    "windows1257": "cp1257", "cp1257": "cp1257", "windows1258": "cp1258", "cp1258": "cp1258",
    "windows874": "cp874", "tis620": "cp874", "cp850": "cp850", "ibm850": "cp850", "cp437": "cp437",
    "ibm437": "cp437", "cp858": "cp858", "cp866": "cp866", "ibm866": "cp866", "koi8r": "koi8-r",
    "koi8u": "koi8-u", "macintosh": "mac-roman", "macroman": "mac-roman", "xmacroman": "mac-roman",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "xgbk": "gb18030",
    "cp936": "gb18030", "big5": "cp950", "cp950": "cp950", "big5hkscs": "big5hkscs",
    "shiftjis": "cp932", "sjis": "cp932", "xsjis": "cp932", "windows31j": "cp932", "cp932": "cp932",
    "mskanji": "cp932", "eucjp": "euc-jp", "xeucjp": "euc-jp", "iso2022jp": "iso2022_jp_2",
    "iso2022jp1": "iso2022_jp_2", "iso2022jp2": "iso2022_jp_2", "cp50220": "iso2022_jp_2",
    "euckr": "cp949", "ksc56011987": "cp949", "ksc5601": "cp949", "cp949": "cp949",
    "iso2022kr": "iso2022_kr", "utf7": "utf-7", "unicode11utf7": "utf-7", "unicode20utf7": "utf-7",
    "utf16": "utf-16", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "ucs2": "utf-16",
    "unicode": "utf-16", "utf32": "utf-32", "utf32le": "utf-32-le", "utf32be": "utf-32-be",
}  # fmt: skip
_LATIN = frozenset({"cp1252", "iso8859-15", "cp1254", "utf-8"})
_STATEFUL = frozenset({"utf-7", "iso2022_jp_2", "iso2022_kr"})
_PUNCTUATION = str.maketrans("", "", "-_ .:()\"'\t,;")
_COMMENT = re.compile(r"[*(\[]")  # a language (RFC 2231, 5), a comment, a Python object
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
# Where windows-1252 has nothing, browsers and Python's own latin-1 see control characters.
# Not of Western Europe: letters, punctuation, signs, arrows, boxes, pictures.
_STRANGE = re.compile(
    "[^\x00-\u017f\u02c6\u02dc\u2000-\u206f\u20a0-\u22ff\u2500-\u27bf\ufe0e\ufe0f\ufeff\ufffd"
    "\U0001f000-\U0001faff]"
)
_HOLES = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


@lru_cache(512)
def codec_of(label: str) -> str | None:
    """Python's name of a charset label, None for one that is unknown or says nothing."""
    plain = _COMMENT.split(label.lower(), maxsplit=1)[0].translate(_PUNCTUATION)
    if plain.startswith("cs"):
        plain = plain[2:]
    return _CODECS.get(plain)


def decode(data: bytes, label: str = "") -> tuple[str, bool]:
    """The text, without control characters other than tab, CR and LF, and whether it had to be
    guessed or something of it was lost. UTF-8 that is labelled as a Latin charset is read as UTF-8,
    if it is likely: hardly any text of theirs is also valid UTF-8."""
    if not label and data.isascii():
        return data.translate(None, _CONTROLS).decode("ascii"), False
    codec = codec_of(label[:80]) if label else "utf-8"
    if data.isascii() and (codec is None or codec in _LATIN):
        return data.translate(None, _CONTROLS).decode("ascii"), False
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") and (codec is None or codec in _LATIN):
        codec = "utf-16"
    if codec is not None and codec.startswith(("utf-16", "utf-32")):
        return _wide(data, codec)
    if codec is None or codec in _LATIN:
        return _latin(data, codec, bool(label))
    if codec in _STATEFUL:
        text, lost = _forgiving(data, codec)
        return _NO_TEXT.sub("", text), lost
    text, lost = _forgiving(data.translate(None, _CONTROLS), codec)
    return _NO_TEXT.sub("", text), lost


def clean(text: str) -> str:
    """Without NUL, other control characters than tab, CR and LF, and lone surrogates."""
    return _NO_TEXT.sub("", text)


def _latin(data: bytes, codec: str | None, labelled: bool) -> tuple[str, bool]:
    data = data.translate(None, _CONTROLS)
    try:
        text = data.decode("utf-8")
        if codec in (None, "utf-8") or _likely(text):
            return text.removeprefix("\ufeff"), False
    except UnicodeDecodeError as error:
        # Cut in the middle of its last character, as by a limit.
        head = data[: error.start]
        if error.reason == "unexpected end of data" and not head.isascii():
            return head.decode("utf-8").removeprefix("\ufeff"), True
    if codec == "utf-8" and labelled and _mostly_utf8(data):
        return data.decode("utf-8", "replace").removeprefix("\ufeff"), True
    single = "cp1252" if codec in (None, "utf-8") else codec
    text, lost = _forgiving(data, single)
    return text, lost or codec in (None, "utf-8")


def _likely(text: str) -> bool:
    """Whether what is valid UTF-8 was meant as such, and not as Latin: `IMPAYÉ` before a
    non-breaking space is valid by chance, and a letter of Africa."""
    strange = _STRANGE.findall(text)
    return not strange or (len(strange) > 4 and len(text) - len(strange) < 20 * len(strange))


def _mostly_utf8(data: bytes) -> bool:
    """Whether more of its non-ASCII characters are valid UTF-8 than not."""
    text = data[:20_000].decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return sum(1 for c in text if c > "\x7f") - wrong > wrong


def _wide(data: bytes, codec: str) -> tuple[str, bool]:
    if b"\0" not in data[:4000] and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        # A label that was copied from a file's own declaration, on text that was converted since.
        text, lost = _latin(data, None, labelled=False)
        return text, lost or not data.isascii()
    if codec == "utf-16" and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        codec = "utf-16-le" if data[1:400:2].count(0) > data[:400:2].count(0) else "utf-16-be"
    text, lost = _forgiving(data, codec)
    return _NO_TEXT.sub("", text.removeprefix("\ufeff")), lost


def _forgiving(data: bytes, codec: str) -> tuple[str, bool]:
    try:
        return data.decode(codec), False
    except UnicodeError:
        pass
    if codec == "cp1252":
        return _HOLES.sub(b"", data).decode("cp1252", "replace"), True
    return data.decode(codec, "replace"), True
