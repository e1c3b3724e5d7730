"""format=flowed (RFC 3676): paragraphs that their sender folded, unfolded."""

from __future__ import annotations


def unflowed(text: str, *, delsp: bool) -> str:
    """Lines that end in a blank go on in the next one of the same depth of quotation; the line
    before a signature does not."""
    out: list[str] = []
    open_depth = -1  # of a paragraph that goes on
    parts: list[str] = []
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")  # stuffed
        flows = content.endswith(" ") and content != "-- "
        if open_depth != depth or content == "-- ":
            if parts:
                out.append("".join(parts))
            parts = [(">" * depth + " ") if depth else ""]
        parts.append(content[:-1] if flows and delsp else content)
        if flows:
            open_depth = depth
        else:
            out.append("".join(parts))
            parts, open_depth = [], -1
    if parts:
        out.append("".join(parts))
    return "\n".join(out)
