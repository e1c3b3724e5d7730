"""Content is data: whatever it holds, a message keeps its shape, or is held with a clear reason."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.outbox.content import MAX_STRING, clean, shorten
from chalicelib.outbox.rendering import MAX_SUBJECT, TEXT_WIDTH, _wrapped, render, sample

patient = settings(deadline=None, max_examples=40)
CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Line breaks, direction overrides, mark-up and template syntax, among any other characters.
hostile = st.text(
    st.one_of(st.characters(), st.sampled_from("\r\n\t\x00\x1b\x85\u2028\u202e\u200b<>&\"'{}%#")),
    min_size=1,
    max_size=300,
).filter(lambda text: bool(clean(text)))


def invoice(**changes: Any) -> dict[str, Any]:
    return sample("invoice_followup") | changes


class Outline(HTMLParser):
    """The tags of a page with their attributes' names, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@patient
@given(
    st.lists(st.text(st.sampled_from("abé\u00a0-."), max_size=90).filter(lambda w: w == w.strip())),
    st.sampled_from([" ", "\n", " \n "]),
    st.sampled_from(["", "  "]),
    st.sampled_from(["", "  "]),
)
def test_a_paragraph_is_broken_as_the_standard_library_does(
    words: list[str], space: str, indent: str, hanging: str
) -> None:
    assert _wrapped(space.join(words), indent, hanging) == textwrap.fill(
        " ".join(filter(None, words)),
        TEXT_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


@patient
@given(st.text(st.characters(exclude_categories=("C", "Z"))), st.sampled_from(["\n", "\u200b"]))
def test_text_is_cleaned_alike_whether_or_not_something_has_to_go(text: str, other: str) -> None:
    spaced = f"  {text}   b "
    assert clean(spaced) == clean(spaced + other)


@patient
@given(hostile, hostile)
def test_a_subject_is_one_bounded_line_without_control_characters(name: str, number: str) -> None:
    content = invoice(customer={"name": name})
    content["documents"][0]["number"] = number

    subject = render("invoice_followup", content).subject

    assert 0 < len(subject) <= MAX_SUBJECT
    assert not [c for c in subject if unicodedata.category(c) in CONTROLS]
    assert subject == subject.strip()


@patient
@given(hostile, hostile)
def test_no_content_can_add_a_tag_or_an_attribute(name: str, number: str) -> None:
    content = invoice(customer={"name": name})
    content["business"]["name"] = number
    content["documents"][0]["number"] = number

    html = render("invoice_followup", content).html

    expected = Outline(render("invoice_followup", invoice()).html)
    assert Outline(html).tags == expected.tags
    assert not [c for c in html if c != "\n" and unicodedata.category(c) in CONTROLS]


@patient
@given(hostile.map(lambda text: shorten(text, 40)).filter(lambda text: bool(clean(text))))
def test_no_name_can_add_a_line_to_the_text(name: str) -> None:
    text = render("invoice_followup", invoice(customer={"name": name})).text

    expected = render("invoice_followup", invoice()).text
    assert len(text.splitlines()) == len(expected.splitlines())


def test_markup_in_a_name_is_shown_and_not_run() -> None:
    content = invoice(customer={"name": "<script>alert(1)</script> & Fils"})

    rendered = render("invoice_followup", content)

    assert "<script>alert(1)</script> & Fils" in rendered.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Fils" in rendered.html
    assert "<script" not in rendered.html


def test_template_syntax_in_content_is_not_executed() -> None:
    content = invoice(customer={"name": "{{ 7 * 7 }} {% raw %} {# x #}"})

    rendered = render("invoice_followup", content)

    assert "{{ 7 * 7 }} {% raw %} {# x #}" in rendered.text
    assert "49" not in rendered.text.splitlines()[1]


def test_direction_overrides_and_invisible_characters_are_dropped() -> None:
    content = invoice(customer={"name": "ACME \u202efdp.exe\u200b\u2066"})

    assert "ACME fdp.exe\n" in render("invoice_followup", content).text


def test_names_in_other_scripts_and_with_accents_are_kept() -> None:
    for name in ("Éloïse Œuvrard", "株式会社テスト", "شركة النور", "Ng\u0169 Æther"):
        rendered = render("invoice_followup", invoice(customer={"name": name}))
        assert name in rendered.text
        assert name in rendered.html


def test_an_address_on_several_lines_becomes_one_line_with_commas() -> None:
    assert clean("12 rue des Tanneurs\r\n57000 Metz\n\u200b") == "12 rue des Tanneurs, 57000 Metz"
    assert clean("Échec :\n\ndélai dépassé") == "Échec : délai dépassé"


def test_what_a_customer_typed_is_not_retouched() -> None:
    content = invoice(customer={"name": "L'Atelier : « Bois » !"})

    assert "L'Atelier : « Bois » !" in render("invoice_followup", content).text


def test_a_very_long_name_is_cut_everywhere() -> None:
    content = invoice(customer={"name": "très " * 5_000})
    content["documents"][0]["number"] = "F" * 5_000

    rendered = render("invoice_followup", content)

    assert len(rendered.subject) <= MAX_SUBJECT
    assert "échue depuis 12\u00a0jours" in rendered.subject
    assert len(rendered.text) < 6_000
    assert "F" * (MAX_STRING + 1) not in rendered.html


@patient
@given(st.text(max_size=80))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean(text)

    assert clean(once) == once
    assert not [c for c in once if unicodedata.category(c) in CONTROLS]


@patient
@given(st.text("ab ,", max_size=60), st.integers(min_value=2, max_value=50))
def test_a_shortened_text_fits_and_says_that_it_was_cut(text: str, limit: int) -> None:
    short = shorten(text, limit)

    assert len(short) <= limit
    assert short == text or short.endswith("…")


def test_a_text_is_cut_between_words_where_there_are_some() -> None:
    assert shorten("une phrase assez longue", 18) == "une phrase assez…"
    assert shorten("W" * 30, 10) == "W" * 9 + "…"


REQUIRED = [
    "business.name",
    "customer.name",
    "tone",
    "level",
    "before_due",
    "today",
    "attached",
    "documents",
    "documents[0].number",
    "documents[0].issued_on",
    "documents[0].due_on",
    "documents[0].remaining",
    "documents[0].currency",
    "documents[0].days_late",
    "documents[0].partly_paid",
]


def without(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    content = copy.deepcopy(content)
    place: Any = content
    *parents, last = path.replace("[0]", ".0").split(".")
    for key in parents:
        place = place[0] if key == "0" else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize("path", REQUIRED)
@pytest.mark.parametrize("value", [..., None], ids=["absent", "null"])
def test_a_variable_without_a_value_holds_the_message_and_is_named(
    path: str, value: object
) -> None:
    with pytest.raises(errors.MissingVariable, match="n’a pas de valeur") as held:
        render("invoice_followup", without(sample("invoice_followup"), path, value))
    assert f"« {path} »" in str(held.value)


@pytest.mark.parametrize("value", ["", "  ", "\r\n", "\u200b\u202e"])
def test_a_blank_name_is_a_missing_one(value: str) -> None:
    with pytest.raises(errors.MissingVariable, match=r"customer\.name"):
        render("invoice_followup", invoice(customer={"name": value}))


def test_a_hole_in_a_list_holds_the_message() -> None:
    content = invoice(documents=[*invoice()["documents"], None])

    with pytest.raises(errors.MissingVariable, match=r"documents\[1\]"):
        render("invoice_followup", content)


def test_a_second_document_without_its_amount_is_named_too() -> None:
    content = invoice(tone="mise_en_demeure")
    incomplete = content["documents"][0] | {"remaining": None}
    content["documents"].append(incomplete)

    with pytest.raises(errors.MissingVariable, match=r"documents\[1\]\.remaining"):
        render("invoice_followup", content)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("documents[0].remaining", "beaucoup", "nombre illisible"),
        ("documents[0].currency", "EURO", "devise inconnue"),
        ("documents[0].due_on", "bientôt", "date illisible"),
    ],
)
def test_an_unreadable_value_holds_the_message_without_being_repeated(
    path: str, value: str, reason: str
) -> None:
    with pytest.raises(errors.MissingVariable, match=reason) as held:
        render("invoice_followup", without(sample("invoice_followup"), path, value))
    assert held.value.code == "unreadable_variable"
    assert value not in str(held.value)


@pytest.mark.parametrize("template", ["facture", "", "../mail/invoice_followup", "/etc"])
def test_an_unknown_template_is_a_clear_error(template: str) -> None:
    with pytest.raises(errors.NotFound, match="n’existe pas") as refusal:
        render(template, invoice())
    assert refusal.value.code == "unknown_template"


@pytest.mark.parametrize("tone", ["menaçant", "../rappel", "facts"])
def test_an_unknown_tone_never_borrows_the_words_of_another(tone: str) -> None:
    with pytest.raises(errors.PonctuelError):
        render("invoice_followup", invoice(tone=tone))


def test_content_that_is_not_data_is_refused() -> None:
    with pytest.raises(TypeError, match=r"customer\.name: a object"):
        render("invoice_followup", invoice(customer={"name": object()}))


def test_rendering_leaves_the_content_as_it_was() -> None:
    content = invoice(legal=None)
    before = copy.deepcopy(content)

    render("invoice_followup", content)

    assert content == before


def test_importing_the_renderer_loads_neither_jinja2_nor_babel() -> None:
    check = (
        "import sys, chalicelib.outbox.rendering;"
        "print(sorted({'jinja2', 'babel', 'markupsafe'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
