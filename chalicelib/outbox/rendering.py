"""Turns a message's template and content into its subject, its text and its HTML.

A template is a folder of `templates/mail/`: `body.txt`, which has the macro `subject` besides,
`body.html`, and a `sample.json` that shows the content it takes. Wording is written once, in
`*.jinja` files which both bodies import: whether a value is escaped depends on the part rendered,
not on the file.

- Content is data, often typed by strangers: never compiled, cleaned (see `content`), and escaped in
  HTML.
- A variable that is absent, null, blank or an empty list has no value. Templates ask for optional
  ones with `is defined`; any other use of one raises MissingVariable.
- Wording is typed on a plain keyboard; `formats.typographie` sets its spaces and apostrophes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chalicelib import errors
from chalicelib.outbox import formats
from chalicelib.outbox.content import Section, missing, shorten

if TYPE_CHECKING:
    from jinja2 import Environment, Template

TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"
MAX_SUBJECT: Final = 150  # characters; clients show fewer, servers accept more
TEXT_WIDTH: Final = 72  # columns of the text part
# E.164 of metropolitan France and of the overseas departments that share its numbering plan, in the
# pairs of the national form (Arcep, plan national de numérotation).
_FRENCH_NUMBER: Final = re.compile(r"\+(?:33|262|590|594|596)([1-9])(\d\d)(\d\d)(\d\d)(\d\d)")


@dataclass(frozen=True)
class Rendered:
    """The parts of one e-mail. `subject` is one line without control characters."""

    subject: str
    text: str
    html: str


def render(template: str, content: Mapping[str, object]) -> Rendered:
    """Renders `templates/mail/<template>/` with `content` (JSON values, dates and Decimals).

    Raises MissingVariable, which names the variable and never its value, when one that the template
    needs has no value or cannot be read as what it should be; NotFound for an unknown template.
    """
    variables = Section("", content)
    with explained():
        subject, text = _subject_and_text(template, variables)
        html = environment(html=True).get_template(f"mail/{template}/body.html").render(variables)
    return Rendered(
        subject=shorten(re.sub("[ \n]+", " ", subject).strip(), MAX_SUBJECT),
        text=_without_gaps(text),
        html=html.strip(),
    )


@contextmanager
def explained() -> Iterator[None]:
    """What rendering raises, as the errors that `render` speaks of."""
    import jinja2

    try:
        yield
    except jinja2.TemplateNotFound as error:
        raise errors.NotFound(
            f"Le modèle de message « {error.name} » n’existe pas : vérifiez le nom du modèle et le "
            "ton demandé.",
            code="unknown_template",
        ) from error
    except jinja2.UndefinedError as error:
        raise missing(str(error.message)) from error
    except ValueError as error:
        raise errors.MissingVariable(
            f"Une valeur du message ne peut pas être lue ({error}) : corrigez-la, puis relancez "
            "l’envoi.",
            code="unreadable_variable",
        ) from error


def page(name: str, content: Mapping[str, object]) -> str:
    """The web page `templates/pages/<name>.html` with `content`, which may come from strangers: it
    is cleaned and escaped as in an e-mail."""
    template = environment(html=True).get_template(f"pages/{name}.html")
    return template.render(Section("", content)).strip() + "\n"


def sample(template: str) -> dict[str, Any]:
    """The sample content of a template, for previews and tests."""
    content: dict[str, Any] = json.loads(
        (TEMPLATES / "mail" / template / "sample.json").read_text(encoding="utf-8")
    )
    return content


def _subject_and_text(template: str, variables: Mapping[str, object]) -> tuple[str, str]:
    """From one rendering: what the wording has in common is worked out once for both."""
    body = environment(html=False).get_template(f"mail/{template}/body.txt")
    context = body.new_context(dict(variables))
    text = "".join(body.root_render_func(context))
    return context.vars["subject"](), text


def _without_gaps(text: str) -> str:
    lines = "\n".join(line.rstrip(" ") for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"


@lru_cache(maxsize=2)
def environment(*, html: bool) -> Environment:
    """One environment for each part: everything rendered for HTML is escaped, whatever the file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from jinja2.environment import TemplateModule
    from jinja2.ext import Extension
    from jinja2.lexer import Token, TokenStream
    from markupsafe import Markup, escape

    from chalicelib.outbox.letter_code import LetterCode, with_defaults

    class Missing(StrictUndefined):
        @property
        def _undefined_message(self) -> str:
            return f"{getattr(self._undefined_obj, 'content_path', '')}{self._undefined_name}"

    class ContentEnvironment(Environment):
        code_generator_class = LetterCode
        section = Section

        def _generate(self, *source: Any, **how: Any) -> str:
            return with_defaults(super()._generate(*source, **how))

        # Jinja2 looks for attributes first: a key named "items" would be the dict's method.
        def getattr(self, obj: Any, attribute: str) -> Any:
            if type(obj) is TemplateModule and attribute in obj.__dict__:
                return obj.__dict__[attribute]
            if not isinstance(obj, Section):
                return super().getattr(obj, attribute)
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            known = isinstance(obj, Section)
            return self.getattr(obj, argument) if known else super().getitem(obj, argument)

        # A letter makes nine contexts, each of which copies the globals: there are none.
        def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
            return super().make_globals(d) if d else self.globals

        # It looks for fourteen templates, none of which changes: Jinja2's own cache has a lock.
        @cache  # noqa: B019 - there are two environments, for as long as the process lives
        def get_template(self, name: Any, parent: Any = None, globals: Any = None) -> Template:
            return super().get_template(name, parent, globals)

    class FrenchTypography(Extension):
        def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
            for token in stream:
                wording = token.type == "data"
                yield token._replace(value=formats.typographie(token.value)) if wording else token

    def strict(function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def with_values(*values: object) -> object:
            if Missing in map(type, values):
                for value in values:
                    str(value)  # raises, with the variable's name
            return function(*values)

        return with_values

    def strong(value: object) -> str:
        return Markup(f"<strong>{escape(value)}</strong>") if html else str(value)  # noqa: S704

    environment = ContentEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=Missing,
        extensions=[FrenchTypography],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for function in (
        formats.montant, formats.taux, formats.nombre, formats.en_lettres, formats.jours,
        formats.date_jour, formats.date_longue, formats.date_courte, formats.date_heure,
        formats.dans_jours, formats.iban, formats.siret, shorten, _minus, _summed, _moment,
        _late, _not_late, _wrapped, _joined, strong,
    ):  # fmt: skip
        environment.filters[function.__name__.lstrip("_")] = strict(function)
    environment.globals.clear()
    environment.tests["web_address"] = lambda value: bool(re.match("https?://", str(value)))
    return environment


def _minus(amount: str | Decimal, taken: str | Decimal) -> Decimal:
    return formats.decimal(amount) - formats.decimal(taken)


def _summed(documents: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What remains of `documents`, by currency, in the form of the content's `totals`."""
    sums: dict[str, Decimal] = {}
    for document in documents:
        currency = document["currency"]
        sums[currency] = sums.get(currency, Decimal(0)) + formats.decimal(document["remaining"])
    return [{"currency": currency, "amount": amount} for currency, amount in sums.items()]


def _late(documents: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [document for document in documents if document["days_late"] > 0]


def _not_late(documents: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [document for document in documents if not document["days_late"] > 0]


def _moment(instant: str) -> str:
    """« le … à … », or the words as they are: an alert goes out whatever its date looks like."""
    try:
        return f"le {formats.date_heure(instant)}"
    except ValueError:
        return instant


def _joined(text: str) -> str:
    """`text` that stays on one line; a French telephone number as the French read it."""
    french = _FRENCH_NUMBER.fullmatch(re.sub(r"[ .-]", "", text))
    spoken = f"0{french[1]} {' '.join(french.groups()[1:])}" if french else text
    return spoken.replace(" ", formats.NO_BREAK)


def _wrapped(text: str, indent: str = "", hanging: str = "") -> str:
    """A paragraph of the text part, broken at plain spaces only; `hanging` is added to `indent`
    from the second line on."""
    left = text.replace("\n", " ").strip(" ")
    if "  " in left:
        left = re.sub(" {2,}", " ", left)
    lines = []
    before = indent
    while len(before) + len(left) > TEXT_WIDTH:
        end = left.rfind(" ", 0, TEXT_WIDTH - len(before) + 1)
        if end < 0:  # a word that is longer than a line
            end = left.find(" ")
            if end < 0:
                break
        lines.append(before + left[:end])
        before, left = indent + hanging, left[end + 1 :]
    return "\n".join([*lines, before + left]) if left else ""
