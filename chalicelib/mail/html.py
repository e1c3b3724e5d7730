"""HTML of strangers made harmless, and made into text.

What is left cannot act and cannot call home: no script, form, style or frame, and of pictures only
those that came along (`cid:`). A remote picture would tell its sender that, when and from where the
e-mail was opened, and a back office opens e-mails that nobody chose to read; its `alt` stays, and
the original is in the raw copy. Links lead to the web, an address or a telephone only.
"""

from __future__ import annotations

import html
import re
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.mail.charsets import clean as without_controls

if TYPE_CHECKING:
    import nh3

# The sanitiser's time is the square of these, by measurement; e-mails that people see have about 60
# levels and a few hundred characters per tag.
MAX_DEPTH, MAX_TAG, MAX_ENTITIES = 1000, 6000, 50_000

_TAGS = set(
    """a abbr address b bdi big blockquote br caption center cite code col colgroup dd del dfn div
    dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre q s samp small span strike strong
    sub sup table tbody td tfoot th thead tr tt u ul var""".split()
)
_LAYOUT = {"align", "valign", "width", "height", "bgcolor"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", *_LAYOUT},
    "table": {"border", "cellpadding", "cellspacing", *_LAYOUT},
    "td": {"colspan", "rowspan", *_LAYOUT},
    "th": {"colspan", "rowspan", *_LAYOUT},
    "tr": {"align", "valign", "bgcolor"},
    "font": {"color", "size", "face"},
    "div": {"align"},
    "p": {"align"},
    "ol": {"start", "type"},
}
_WITH_CONTENT = {"script", "style", "title", "head", "template", "object", "iframe", "noscript",
                 "textarea", "select", "svg", "math", "xml"}  # fmt: skip
_SCHEMES = {"http", "https", "mailto", "tel", "cid"}

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:]*)([^<>]*)>?")
_LONG_TAG = re.compile(rf"<[^<>]{{{MAX_TAG},}}>?")
_DATA = re.compile(r"""(\ssrc\s*=\s*["']?)data:[^"'<>\s]*""", re.IGNORECASE)
_REMOTE = re.compile(r'(<img(?: [a-z]+="[^"]*")*?) src="(?!cid:)[^"]*"')
# These end by themselves, or at the next of their kind.
_NOT_NESTED = frozenset(
    "area base br col embed hr img input link meta param source track wbr p dd dt option tr td th "
    "tbody thead tfoot html body head o:p".split()
)
_WRITTEN = re.compile(r'<(/?)([a-z][a-z0-9]*)((?: [a-z]+="[^"]*")*)>')
_BLOCKS = frozenset(
    "address blockquote br caption center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table "
    "tbody tfoot thead tr ul".split()
)
_ALT = re.compile(r' alt="([^"]*)"')
_INVISIBLE = re.compile("[\u00ad\u034f\u200b-\u200d\u2060\ufeff]+")


def sanitised(source: str, limit: int) -> tuple[str, bool]:
    """HTML that can be shown inside a page of ours, at most `limit` characters, and whether
    something that people would have seen is missing. `""` for what is built to wear us out."""
    source, cut = source[:limit], len(source) > limit
    if len(source) > MAX_TAG:
        source = _LONG_TAG.sub(" ", _DATA.sub(r"\1", source))
    if source.count("&") > MAX_ENTITIES or _too_deep(source):
        return "", True
    clean = _cleaner().clean(source)
    if "&#" in source:
        clean = without_controls(clean)
    if "<img" in clean:
        clean = _REMOTE.sub(r"\1", clean)
    if len(clean) > 2 * limit:  # every end of a tag that is missing was put in
        return "", True
    return clean.strip(), cut


def text_of(sanitised_html: str) -> str:
    """The text of sanitised HTML, lines and quotations (`> `) kept. Blocks begin a line; cells are
    separated by a blank; an image is its `alt`."""
    out: list[str] = []
    line: list[str] = []
    depth = position = pre = 0

    def end_line(name: str) -> None:
        content = "".join(line)
        line.clear()
        if pre and content.strip():
            out.extend("> " * depth + part.rstrip() for part in content.strip("\n").split("\n"))
            return
        words = " ".join(content.split())
        if words:
            out.append("> " * depth + words if depth else words)
        elif name in ("p", "br") and out and out[-1]:
            out.append("")

    for tag in _WRITTEN.finditer(sanitised_html):
        start = tag.start()
        if start > position:
            line.append(html.unescape(sanitised_html[position:start]))
        position = tag.end()
        closing, name, attributes = tag.groups()
        if name in _BLOCKS:
            end_line(name)
            if name == "blockquote":
                depth = max(0, depth - 1) if closing else min(9, depth + 1)
            elif name == "pre":
                pre = max(0, pre - 1) if closing else pre + 1
            elif name == "li" and not closing:
                line.append("- ")
        elif name in ("td", "th"):
            line.append(" ")
        elif name == "img" and attributes:
            alt = _ALT.search(attributes)
            if alt is not None and alt[1]:
                line.append(f" {html.unescape(alt[1])} ")
    line.append(html.unescape(sanitised_html[position:]))
    end_line("")
    return _INVISIBLE.sub("", "\n".join(out)).strip()


def bare_text(source: str) -> str:
    """The text of HTML that was too much for the sanitiser: what is between tags."""
    found = without_controls(html.unescape(_TAG.sub(" ", source)))
    return found.replace("\r\n", "\n").replace("\r", "\n").strip()


def escaped(text: str) -> str:
    """Plain text as HTML, for the parts of an e-mail that have no other."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def _too_deep(source: str) -> bool:
    if source.count("<") < MAX_DEPTH:
        return False
    depth = 0
    for tag in _TAG.finditer(source):
        name = tag[2].lower()
        if name in _NOT_NESTED or tag[3].endswith("/"):
            continue
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > MAX_DEPTH:
            return True
    return False


@cache
def _cleaner() -> nh3.Cleaner:
    import nh3

    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )
