"""The texts of WhatsApp messages: one wording, three uses.

A folder of `templates/whatsapp/` has a wording per variant (`rappel.txt`), which names its
variables (`{{ remaining }}`), and says in `_variables.jinja` what each is made of. From them come
the free text of the 24-hour window, the numbered body that a provider approves once, and the values
that one message gives it; so what people read is the same either way.

Values are data, often typed by strangers: one bounded line each, never compiled. What WhatsApp
takes for formatting (`*`, `_`, `~`) stays in them: it changes how a name looks, not what is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from chalicelib import errors
from chalicelib.outbox import formats
from chalicelib.outbox.content import Section, missing
from chalicelib.outbox.rendering import TEMPLATES, environment, explained

FOLDER: Final = TEMPLATES / "whatsapp"
LONGEST: Final = 1024  # characters of a template's body, values included (Meta)

_VARIABLE: Final = re.compile(r"\{\{ (\w+) \}\}")
_NAME: Final = re.compile(r"[a-z_]+")


@dataclass(frozen=True)
class WhatsAppText:
    """`text` as the person reads it; `variables` are the values of {{1}}, {{2}}… in order."""

    text: str = field(repr=False)
    variables: tuple[str, ...] = field(repr=False)


def render(folder: str, variant: str, content: Mapping[str, object]) -> WhatsAppText:
    """One message, with `content` as for e-mails (JSON values, dates and Decimals).

    Raises MissingVariable, which names the variable and never its value, when one that the wording
    needs has no value or cannot be read; NotFound for an unknown folder or variant.
    """
    wording = _wording(folder, variant)
    values = {}
    with explained():
        template = environment(html=False).get_template(f"whatsapp/{folder}/_variables.jinja")
        written = template.make_module(Section("", content))
        for name in _VARIABLE.findall(wording):
            values[name] = re.sub(r"[ \n]+", " ", str(getattr(written, name)())).strip(" ")
            if not values[name]:
                raise missing(name)
    text = _VARIABLE.sub(lambda found: values[found[1]], wording)
    return WhatsAppText(text, tuple(values.values()))


def body(folder: str, variant: str) -> str:
    """The body to have approved, with {{1}}, {{2}}… in the order in which they are first named.
    Raises NotFound."""
    wording = _wording(folder, variant)
    numbers = {name: str(n) for n, name in enumerate(names(folder, variant), 1)}
    return _VARIABLE.sub(lambda found: "{{" + numbers[found[1]] + "}}", wording)


def names(folder: str, variant: str) -> tuple[str, ...]:
    """What {{1}}, {{2}}… are, in order. Raises NotFound."""
    return tuple(dict.fromkeys(_VARIABLE.findall(_wording(folder, variant))))


def variants(folder: str) -> tuple[str, ...]:
    """The texts of a folder, by name. Raises NotFound."""
    found = sorted(path.stem for path in (FOLDER / _known(folder)).glob("*.txt"))
    if not found:
        raise _unknown(folder)
    return tuple(found)


def sample(folder: str) -> dict[str, Any]:
    """A content for previews and tests. Raises NotFound."""
    variants(folder)
    content: dict[str, Any] = json.loads((FOLDER / folder / "sample.json").read_text("utf-8"))
    return content


@lru_cache
def _wording(folder: str, variant: str) -> str:
    path = FOLDER / _known(folder) / f"{_known(variant)}.txt"
    try:
        wording = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise _unknown(f"{folder}/{variant}") from error
    return formats.typographie(wording).strip("\n")


def _known(name: str) -> str:
    """The name, which cannot be a path to somewhere else. Raises NotFound."""
    if not _NAME.fullmatch(name):
        raise _unknown(name)
    return name


def _unknown(name: str) -> errors.NotFound:
    return errors.NotFound(
        f"Le texte WhatsApp « {name} » n’existe pas : vérifiez le genre de message et le ton.",
        code="unknown_template",
    )
