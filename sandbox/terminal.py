"""What the demo writes on a terminal: sentences, in French."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text

from chalicelib.outbox.formats import typographie

# What is shown has other people's names in it: they are no markup, and command no terminal.
console = Console(
    highlight=False, markup=False, emoji=False, width=None if Console().is_terminal else 120
)
# Direction marks would turn the rest of a line around.
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

WIDEST = 100


def say(sentence: str) -> None:
    """A paragraph; the no-break spaces of French stay where they are."""
    console.print(shown(wrapped(typographie(sentence), min(console.width, WIDEST))))


def shown(content: str, **style: Any) -> Text:
    """A text as it is, without the characters that nobody sees."""
    return Text(_UNSEEN.sub(" ", content), **style)


def then(sentence: str) -> None:
    """A paragraph after something that was shown."""
    console.print()
    say(sentence)


def title(sentence: str) -> None:
    console.print()
    console.rule(Text(typographie(sentence), style="bold"), align="left")


def wrapped(content: str, width: int) -> str:
    """rich breaks lines at no-break spaces too. What fits is left as it is, indented or not."""
    lines = content.split("\n")
    return "\n".join(
        "\n".join(textwrap.wrap(line, width)) if len(line) > width else line for line in lines
    )
