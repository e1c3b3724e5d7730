"""Subjects are compared without what mail clients and gateways put in front of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.inbox.subjects import LONGEST, is_answer, subject_key


@pytest.mark.parametrize(
    "subject",
    [
        "Re: Facture F-1042",
        "RE : facture  f-1042",
        "Re: TR: Re: Facture F-1042",
        "Réf : Facture F-1042",
        "Rép : Facture F-1042",
        "[EXTERNE] RE: Facture F-1042",
        "Re[2]: Facture F-1042",
        "AW: Fwd: Facture F-1042",
        "Re\u00a0: Facture\u00a0F-1042",
    ],
)
def test_an_answers_subject_is_that_of_what_it_answers(subject: str) -> None:
    assert subject_key(subject) == "facture f-1042"
    assert is_answer(subject)


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("Facture F-1042", "facture f-1042"),
        ("TR: Facture F-1042", "facture f-1042"),
        ("Fwd: Facture F-1042", "facture f-1042"),
        ("Relance : facture", "relance : facture"),
        ("Travaux", "travaux"),
        ("", ""),
    ],
)
def test_a_forward_or_a_new_subject_is_no_answer(subject: str, key: str) -> None:
    assert subject_key(subject) == key
    assert not is_answer(subject)


def test_a_subject_of_marks_only_has_no_key() -> None:
    assert subject_key("Re: Re: TR:") == ""


@given(st.text(max_size=400))
def test_any_text_has_a_key_of_bounded_length(subject: str) -> None:
    assert len(subject_key(subject)) <= LONGEST
    assert subject_key(f"Re: {subject}") == subject_key(subject)
