from __future__ import annotations

import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import BadRequest
from chalicelib.providers.phones import FRENCH_REGIONS, Phone, normalised


def refused(raw: str | None, region: str = "FR") -> str:
    with pytest.raises(BadRequest) as error:
        normalised(raw, region)
    return error.value.code


@pytest.mark.parametrize(
    "raw",
    [
        "06 12 34 56 78",
        "06.12.34.56.78",
        "06-12-34-56-78",
        "06‑12‑34‑56‑78",
        "06/12/34/56/78",
        "0612345678",
        "612345678",
        "(0)6 12 34 56 78",
        "+33 6 12 34 56 78",
        "+33 (0)6 12 34 56 78",
        "+33 06 12 34 56 78",
        "0033612345678",
        "00 33 (0)6 12 34 56 78",
        "33612345678",
        "Tél. : 06 12 34 56 78",
        "portable 06 12 34 56 78",
        "whatsapp:+33612345678",
        "\u202a+33 6 12 34 56 78\u202c",
        "06\u00a012\u00a034\u202f56\u00a078",
        "０６１２３４５６７８",
        "06 12 34 56 78 / 06.12.34.56.78",
        "06 12 34 56 78 ou +33612345678",
    ],
)
def test_each_way_of_writing_a_french_mobile_is_the_same_number(raw: str) -> None:
    assert normalised(raw) == Phone("+33612345678", "FR", "mobile")


@pytest.mark.parametrize(
    ("raw", "number", "region", "line"),
    [
        ("0692123456", "+262692123456", "RE", "mobile"),
        ("+33 692 12 34 56", "+262692123456", "RE", "mobile"),
        ("0262 16 12 34", "+262262161234", "RE", "landline"),
        ("0690 30 12 34", "+590690301234", "GP", "mobile"),
        ("0696 20 12 34", "+596696201234", "MQ", "mobile"),
        ("0596 30 12 34", "+596596301234", "MQ", "landline"),
        ("0694 20 12 34", "+594694201234", "GF", "mobile"),
        ("0508 55 12 34", "+508551234", "PM", "mobile"),
        ("55 12 34", "+508551234", "PM", "mobile"),
        ("262692123456", "+262692123456", "RE", "mobile"),
    ],
)
def test_a_number_of_an_overseas_department_is_found_before_it_is_refused(
    raw: str, number: str, region: str, line: str
) -> None:
    assert normalised(raw) == Phone(number, region, line)  # type: ignore[arg-type] # a Line


def test_a_business_of_la_reunion_has_customers_in_metropolitan_france_too() -> None:
    assert normalised("0692 12 34 56", "RE").region == "RE"
    assert normalised("06 12 34 56 78", "RE").number == "+33612345678"


def test_landlines_and_mobiles_are_told_apart_where_the_plan_allows_it() -> None:
    assert normalised("01 23 45 67 89").line == "landline"
    assert normalised("09 72 12 34 56").line == "landline"
    assert normalised("+49 151 12345678").line == "mobile"
    assert normalised("+1 415 555 2671").line == "either"


def test_numbers_kept_for_fiction_pass_so_that_samples_can_be_shown() -> None:
    assert normalised("06 39 98 02 74") == Phone("+33639980274", "FR", "mobile")


def test_outside_of_france_only_the_region_that_was_given_counts() -> None:
    assert normalised("0471 12 34 56", "BE").number == "+32471123456"
    assert refused("0692 12 34 56", "BE") == "phone_invalid"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (None, "phone_missing"),
        ("", "phone_missing"),
        (" \u200b ", "phone_missing"),
        ("06 12 34 56 78 / 01 23 45 67 89", "phone_several"),
        ("06 12 34 56 78 ou 07 12 34 56 78", "phone_several"),
        ("0612345678 0712345678", "phone_several"),
        ("06 12 34 56 78\n01 23 45 67 89", "phone_several"),
        ("1" * 40, "phone_several"),
        ("1" * 100_000, "phone_several"),
        ("06 12 34 56 78 (Marie)", "phone_letters"),
        ("0800 FLEURS", "phone_letters"),
        ("inconnu", "phone_letters"),
        ("client@exemple.fr", "phone_letters"),
        ("3631", "phone_service"),
        ("15", "phone_service"),
        ("0800 12 34 56", "phone_service"),
        ("0899 12 34 56", "phone_service"),
        ("06.12.34.56.7", "phone_invalid"),
        ("+33 7", "phone_invalid"),
        ("00 12 34 56 78", "phone_invalid"),
        ("+", "phone_invalid"),
        ("06 12 34 56 78 #", "phone_invalid"),
        ("=06+12", "phone_invalid"),
    ],
)
def test_what_is_no_single_direct_number_is_refused_and_says_why(
    raw: str | None, code: str
) -> None:
    assert refused(raw) == code


def outcome(raw: str, region: str = "FR") -> Phone | str:
    """The phone, or the code of the refusal."""
    try:
        return normalised(raw, region)
    except BadRequest as error:
        return error.code


@given(st.text(max_size=40), st.sampled_from([*FRENCH_REGIONS, "BE", "US", "NC"]))
def test_anything_typed_is_a_valid_number_or_a_refusal_with_a_code(raw: str, region: str) -> None:
    found = outcome(raw, region)
    if isinstance(found, Phone):
        assert phonenumbers.is_valid_number(phonenumbers.parse(found.number))
    else:
        assert found.startswith("phone_")


def test_a_refusal_does_not_quote_the_field() -> None:
    with pytest.raises(BadRequest) as error:
        normalised("06 12 34 56 7 Léa")
    assert "06" not in str(error.value)
    assert "Léa" not in str(error.value)


@given(
    st.sampled_from(["6", "7"]),
    st.integers(0, 99_999_999),
    st.sampled_from(["0{0}{1}", "+33{0}{1}", "0033 {0}{1}", "+33 (0){0}{1}", "33{0}{1}"]),
    st.sampled_from([" ", ".", "-", ""]),
)
def test_the_writing_never_changes_which_number_it_is(
    first: str, rest: int, pattern: str, separator: str
) -> None:
    digits = f"{rest:08}"
    pairs = separator.join(digits[i : i + 2] for i in range(0, 8, 2))
    expected = outcome(f"0{first}{digits}")
    assert outcome(pattern.format(first, separator + pairs)) == expected
    if isinstance(expected, Phone):
        assert normalised(expected.number) == expected


def test_the_number_is_in_no_description_of_the_phone() -> None:
    assert "612345678" not in repr(normalised("06 12 34 56 78"))


def test_the_plan_is_loaded_on_first_use_only() -> None:
    script = (
        "import sys; import chalicelib.providers.phones; sys.exit('phonenumbers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
