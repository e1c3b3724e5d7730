from __future__ import annotations

import subprocess
import sys

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.providers.mail.addresses import (
    MAX_ADDRESSES,
    canonical_address,
    canonical_domain,
    parse_addresses,
)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, []),
        ("", []),
        ("  ", []),
        ("jean@exemple.fr", ["jean@exemple.fr"]),
        ("a@x.fr; Jean <b@y.fr>, c@z.fr", ["a@x.fr", "b@y.fr", "c@z.fr"]),
        ("a@x.fr\nb@y.fr\r\nc@z.fr", ["a@x.fr", "b@y.fr", "c@z.fr"]),
        ("a@x.fr b@y.fr", ["a@x.fr", "b@y.fr"]),
        ("a@x.fr / b@y.fr ou c@z.fr", ["a@x.fr", "b@y.fr", "c@z.fr"]),
        ("a@x.fr (comptabilité), b@y.fr (M. Petit)", ["a@x.fr", "b@y.fr"]),
        ('"Dupont, Jean" <jean@x.fr>', ["jean@x.fr"]),
        ("'a@x.fr", ["a@x.fr"]),
        ("« a@x.fr »", ["a@x.fr"]),
        ("\u200ba@x.fr\ufeff", ["a@x.fr"]),
        ("a@x.fr\u00a0; b@y.fr", ["a@x.fr", "b@y.fr"]),
        ("mailto:a@x.fr.", ["a@x.fr"]),
        ("Jean.Petit@EXEMPLE.FR", ["Jean.Petit@exemple.fr"]),
        ("contact@café-crème.fr", ["contact@xn--caf-crme-60ag.fr"]),
        ("a+relances@x.fr; o'neil@x.ie", ["a+relances@x.fr", "o'neil@x.ie"]),
    ],
)
def test_what_people_type_is_understood(cell: str | None, expected: list[str]) -> None:
    assert parse_addresses(cell) == expected


@pytest.mark.parametrize(
    "cell",
    [
        "pas d'adresse",
        "néant",
        "06 12 34 56 78",
        "a@x",
        "a@localhost",
        "@x.fr",
        "a@",
        "a@@x.fr",
        "a@x..fr",
        "a@-x.fr",
        "a@x-.fr",
        "a@x.f",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        ".a@x.fr",
        "a.@x.fr",
        "a..b@x.fr",
        '"a b"@x.fr',
        "hélène@x.fr",
        "a\x00@x.fr",
        "a@x.fr\x00",
        "a@x.fr\x0bb",
        "a@x.\u202efr",
        "<a@x.fr",
        "a@x.fr>",
        "<<a@x.fr>>",
        "a@x.fr\tBcc:\tb@y.fr",
        f"{'a' * 65}@x.fr",
        f"a@{'x' * 64}.fr",
        f"a@{'x.' * 126}fr",
        "a@x.fr " * 1000,
        "a@stra\u200dße.de",
    ],
)
def test_what_is_not_an_address_gives_none(cell: str) -> None:
    assert parse_addresses(cell) == []


def test_a_header_hidden_behind_a_line_break_adds_no_recipient() -> None:
    assert parse_addresses("a@x.fr\r\nBcc: victime@y.fr\r\n\r\nBonjour") == ["a@x.fr"]


def test_one_mailbox_typed_twice_is_one_recipient() -> None:
    assert parse_addresses("Jean@x.fr, jean@X.FR; JEAN@x.fr") == ["Jean@x.fr"]


def test_no_more_than_five_recipients_come_from_one_cell() -> None:
    cell = ", ".join(f"client{i}@x.fr" for i in range(40))
    assert parse_addresses(cell) == [f"client{i}@x.fr" for i in range(MAX_ADDRESSES)]


def test_a_german_sharp_s_does_not_become_somebody_elses_domain() -> None:
    assert canonical_domain("straße.de") == "xn--strae-oqa.de"


@given(st.text(max_size=200))
def test_whatever_is_typed_gives_addresses_that_are_safe_to_send_to(cell: str) -> None:
    found = parse_addresses(cell)
    assert len(found) <= MAX_ADDRESSES
    for address in found:
        assert address.isascii()
        assert address.isprintable()
        assert not set(address) & set(' ,;:<>()[]"\\')
        assert canonical_address(address) == address
    assert parse_addresses("; ".join(found)) == found


@given(st.text("ab.@<>;, \"'\\(){}\r\n\x00é-", max_size=60))
def test_punctuation_never_breaks_the_reader(cell: str) -> None:
    for address in parse_addresses(cell):
        assert canonical_address(address) == address


_LABELS = st.text(st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=0x24F), min_size=1)


@given(_LABELS.map(lambda label: f"{label}.fr"))
def test_international_domains_are_encoded_as_the_idna_library_does(domain: str) -> None:
    ours = canonical_domain(domain)
    try:
        theirs = idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return
    assert ours in (None, theirs)


def test_reading_addresses_loads_neither_the_email_package_nor_an_idna_table() -> None:
    script = (
        "import sys; from chalicelib.providers.mail.addresses import parse_addresses;"
        "assert parse_addresses('a@x.fr') == ['a@x.fr'];"
        "sys.exit(bool({'email', 'idna', 'stringprep', 'socket'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
