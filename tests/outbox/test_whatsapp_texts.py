"""What is said by WhatsApp: one wording, as free text and as a template that providers accept."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import MissingVariable, NotFound
from chalicelib.outbox import rendering, whatsapp_texts
from chalicelib.outbox.whatsapp_texts import FOLDER, LONGEST, body, render, sample, variants
from chalicelib.providers.whatsapp.content import checked_variables
from chalicelib.providers.whatsapp.port import Template

FOLDERS = sorted(folder.name for folder in FOLDER.iterdir())
TEXTS = [(folder, variant) for folder in FOLDERS for variant in variants(folder)]
# About a customer's invoices or quotes; the others, about a lead.
OF_DOCUMENTS = [(folder, variant) for folder, variant in TEXTS if folder != "lead_followup"]
CLAIMS = ("pénalité", "indemnité", "L441", "40,00")

every_text = pytest.mark.parametrize(("folder", "variant"), TEXTS)
# What customers are called, at the worst: emoji, markup, right to left, a novel.
hostile = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "Éditions #1 & Fils *gras* _x_ ~barré~",
            "שלום עולם \u202eמכחול",
            "👩‍👩‍👧‍👦" * 40,
            "a\r\nb\tc" + " " * 9 + "d",
            "{{1}} {{ remaining }} {% raw %}",
            "x" * 5_000,
            "mot " * 1_250,
        ]
    ),
)


def person(content: dict[str, Any]) -> dict[str, Any]:
    """To whom it is said."""
    found: dict[str, Any] = content["customer" if "customer" in content else "lead"]
    return found


def filled(numbered: str, values: tuple[str, ...]) -> str:
    """What a provider makes of an approved body."""
    return re.sub(r"\{\{(\d+)\}\}", lambda found: values[int(found[1]) - 1], numbered)


def test_relances_have_the_texts_of_their_tones() -> None:
    assert set(variants("invoice_followup")) == {"rappel", "ferme", "mise_en_demeure"}
    assert set(variants("quote_followup")) == {"rappel", "ferme"}


@every_text
def test_the_free_text_is_the_template_with_its_values(folder: str, variant: str) -> None:
    found = render(folder, variant, sample(folder))
    assert filled(body(folder, variant), found.variables) == found.text
    assert sample(folder)["business"]["name"] in found.text
    for document in sample(folder).get("documents", ()):
        assert document["number"] in found.text


@every_text
def test_a_body_is_one_that_meta_takes(folder: str, variant: str) -> None:
    text = body(folder, variant)
    assert not text.startswith("{{")
    assert not text.endswith("}}")
    assert re.search(r"\}\}[^\w{]*\{\{", text) is None, "two variables side by side"
    numbers = re.findall(r"\{\{(\d+)\}\}", text)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    assert not re.search(r"\t|    |\n\n\n|[*_~`]", text)
    assert len(text) <= LONGEST
    assert 4 <= len(text.splitlines()) <= 6


@every_text
def test_a_text_has_french_typography(folder: str, variant: str) -> None:
    text = body(folder, variant)
    assert "'" not in text
    assert not re.search(r" [:;!?]", text), "a space that can break before punctuation"


@every_text
def test_only_a_formal_notice_does_not_offer_to_say_stop(folder: str, variant: str) -> None:
    offers = "Répondez STOP pour ne plus recevoir de messages." in body(folder, variant)
    assert offers == (variant != "mise_en_demeure")


@every_text
@given(name=hostile, business=hostile, number=hostile)
def test_hostile_content_stays_short_lines_without_holes(
    folder: str, variant: str, name: str, business: str, number: str
) -> None:
    content = sample(folder)
    person(content)["name"], content["business"]["name"] = name, business
    for document in content.get("documents", ()):
        document["number"] = number
    try:
        found = render(folder, variant, content)
    except MissingVariable:
        return
    assert len(found.text) <= LONGEST
    assert found.text.count("\n") == body(folder, variant).count("\n")
    assert filled(body(folder, variant), found.variables) == found.text
    kept = checked_variables("meta", Template("x", variables=found.variables))
    assert tuple(kept.values()) == found.variables
    assert all(value.strip() and not re.search(r"[\n\t]|    ", value) for value in found.variables)


@every_text
@pytest.mark.parametrize("amount", ["999999999999.99", "0.004", "-12.00"])
def test_the_longest_values_fit(folder: str, variant: str, amount: str) -> None:
    long = "W" * 5_000
    content = sample(folder)
    person(content)["name"] = content["business"]["name"] = long
    for document in content.get("documents", ()):
        document |= {
            "number": long,
            "remaining": amount,
            "total": amount,
            "days_late": 3650,
            "due_on": "2026-09-30",
            "issued_on": "2026-09-30",
            "valid_until": "2026-09-30",
        }
    content["pay_by"] = "2026-09-30"
    found = render(folder, variant, content)
    # In the units in which JavaScript counts, a name of emoji is twice as long.
    assert len(found.text) <= LONGEST - 2 * 60
    # Twilio takes 255 characters (twilio.com/docs/content-api/using-variables-with-content-api).
    assert max(map(len, found.variables)) <= 255


def lacking(folder: str, path: str) -> dict[str, Any]:
    """A sample in which one thing has no value."""
    content = sample(folder)
    section, _, name = path.rpartition(".")
    held = content["documents"][0] if section == "documents[0]" else content[section]
    assert held.pop(name)
    return content


NEEDED = [
    (folder, variant, path)
    for folder, variant in OF_DOCUMENTS
    for path in (
        "customer.name",
        "business.name",
        "documents[0].number",
        *(("documents[0].due_on", "documents[0].remaining") if folder[0] == "i" else ()),
        *(("documents[0].issued_on", "documents[0].total") if folder[0] == "q" else ()),
    )
] + [(folder, variant, "lead.name") for folder, variant in TEXTS if folder == "lead_followup"]


@pytest.mark.parametrize(("folder", "variant", "path"), NEEDED)
def test_a_thing_that_a_text_names_and_that_is_missing_holds_it_by_name(
    folder: str, variant: str, path: str
) -> None:
    with pytest.raises(MissingVariable, match=re.escape(f"« {path} »")):
        render(folder, variant, lacking(folder, path))


@every_text
@pytest.mark.parametrize("content", [{}, {"documents": []}, {"documents": None}])
def test_a_content_without_documents_is_missing_them(
    folder: str, variant: str, content: dict[str, Any]
) -> None:
    with pytest.raises(MissingVariable):
        render(folder, variant, content)


def test_an_amount_that_cannot_be_read_holds_the_message_and_is_not_quoted() -> None:
    content = sample("invoice_followup")
    content["documents"][0]["remaining"] = "douze"
    with pytest.raises(MissingVariable) as refused:
        render("invoice_followup", "rappel", content)
    assert "douze" not in str(refused.value)


def test_what_looks_like_a_variable_in_a_name_is_not_filled_in() -> None:
    content = sample("invoice_followup")
    content["customer"]["name"] = "{{ remaining }} {{2}}"
    assert "Bonjour {{ remaining }} {{2}}," in render("invoice_followup", "rappel", content).text


@pytest.mark.parametrize("variant", variants("invoice_followup"))
def test_a_consumer_reads_of_no_penalty_and_a_professional_in_the_formal_notice_only(
    variant: str,
) -> None:
    professional = render("invoice_followup", variant, sample("invoice_followup")).text
    consumer = sample("invoice_followup")
    del consumer["legal"]
    assert not any(word in render("invoice_followup", variant, consumer).text for word in CLAIMS)
    assert all(word in professional for word in CLAIMS) == (variant == "mise_en_demeure")


def test_a_quote_without_an_end_is_still_valid() -> None:
    content = sample("quote_followup")
    content["documents"][0]["valid_until"] = None
    assert "Il est toujours valable." in render("quote_followup", "rappel", content).text


@pytest.mark.parametrize("folder", sorted({folder for folder, _ in OF_DOCUMENTS}))
def test_the_content_of_the_e_mail_is_what_the_text_takes(folder: str) -> None:
    content = rendering.sample(folder)
    for variant in variants(folder):
        assert content["business"]["name"] in render(folder, variant, content).text


@pytest.mark.parametrize(
    ("folder", "variant"),
    [("nothing", "rappel"), ("invoice_followup", "poli"), ("../mail", "x"), ("", "")],
)
def test_an_unknown_text_is_not_found(folder: str, variant: str) -> None:
    with pytest.raises(NotFound):
        render(folder, variant, {})
    with pytest.raises(NotFound):
        whatsapp_texts.body(folder, variant)


def test_the_repr_of_a_text_says_nothing_of_it() -> None:
    assert "Moreau" not in repr(render("quote_followup", "rappel", sample("quote_followup")))
