"""A telephone number in a letter is written as whoever reads it would dial it."""

from __future__ import annotations

import pytest

from chalicelib.outbox.rendering import render, sample


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("+33478000000", "04 78 00 00 00"),
        ("+33 4 78.00-00.00", "04 78 00 00 00"),
        ("+262262123456", "02 62 12 34 56"),
        ("+596596123456", "05 96 12 34 56"),
        ("04 78 00 00 00", "04 78 00 00 00"),
        ("+32 2 123 45 67", "+32 2 123 45 67"),
        ("+331", "+331"),
        ("poste 12", "poste 12"),
    ],
)
def test_a_french_number_is_written_in_pairs_on_one_line(stored: str, written: str) -> None:
    content = sample("invoice_followup")
    content["business"]["phone"] = stored
    rendered = render("invoice_followup", content)
    expected = written.replace(" ", "\N{NO-BREAK SPACE}")
    assert f"appelez-nous au {expected}" in rendered.text.replace("\n", " ")
    assert expected in rendered.html
