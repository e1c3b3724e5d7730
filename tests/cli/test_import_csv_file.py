"""Bytes → rows: encodings, separators, titles, quotes, damage, size."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.imports.columns import INVOICES
from cli.imports.csv_file import (
    MAX_LINES_OF_A_ROW,
    NUL,
    QUOTE_LEFT_OPEN,
    QUOTE_MISPLACED,
    TOO_LONG,
    Row,
    find_table,
)
from cli.imports.decoding import UnreadableFile, opened

HEADER = "N° de facture;Client;Date;Échéance;Montant TTC"


def rows(content: str | bytes) -> list[Row]:
    data = content.encode() if isinstance(content, str) else content
    with opened(io.BytesIO(data)) as source:
        return list(find_table(source, INVOICES.score).rows())


def cells(content: str | bytes) -> list[tuple[str, ...]]:
    return [row.cells for row in rows(content)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_an_export_is_read_in_any_unicode_encoding(encoding: str, line_end: str) -> None:
    content = line_end.join([HEADER, "F1;Société Élan – Œuvre;1;2;3 €", ""]).encode(encoding)
    assert cells(content) == [("F1", "Société Élan – Œuvre", "1", "2", "3 €")]


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp850"])
def test_an_export_from_before_unicode_has_no_mojibake(encoding: str) -> None:
    content = f"{HEADER}\nF1;Crêperie Ça Brûle à Noël;1;2;3\n".encode(encoding)
    assert cells(content)[0][1] == "Crêperie Ça Brûle à Noël"


def test_a_line_that_is_not_utf8_does_not_spoil_the_others() -> None:
    content = f"{HEADER}\nF1;Hélène;1;2;3\n".encode() + "F2;Zoé €;1;2;3\n".encode("cp1252")
    assert [row[1] for row in cells(content)] == ["Hélène", "Zoé €"]


def test_an_export_that_was_encoded_twice_is_repaired() -> None:
    content = f"{HEADER}\nF1;Hélène Œuvre;1;2;3\n".encode().decode("cp1252").encode()
    assert cells(content)[0][1] == "Hélène Œuvre"


def test_accents_that_look_like_mojibake_are_left_alone() -> None:
    assert cells(f"{HEADER}\nF1;Âge d'Or, João, PÃO;1;2;3")[0][1] == "Âge d'Or, João, PÃO"


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_the_separator_is_found(separator: str) -> None:
    content = f'{HEADER}\nF1;"Durand; Fils, et | cie";1;2;"3,00"'
    content = content.replace(";", separator)
    assert cells(content)[0][0] == "F1"
    assert len(cells(content)[0]) == 5


def test_commas_in_amounts_and_names_do_not_pass_for_separators() -> None:
    assert cells(f"{HEADER}\nF1;Durand, Fils;1;2;1,00\nF2;A, B, C;1;2;2,00") == [
        ("F1", "Durand, Fils", "1", "2", "1,00"),
        ("F2", "A, B, C", "1", "2", "2,00"),
    ]


def test_titles_above_and_excels_own_hint_are_passed_over() -> None:
    content = f"sep=;\nListe des factures;;;;\nÉditée le 20/11/2026\n\n;;;;\n{HEADER}\nF1;A;1;2;3\n"
    assert rows(content) == [Row(7, ("F1", "A", "1", "2", "3"))]


def test_lines_are_numbered_as_an_editor_does() -> None:
    content = f'{HEADER}\r\n\r\nF1;"Rue\r\ndes Lilas";1;2;3\r\n;;;;\r\nF2;B;1;2;3'
    assert [(row.line, row.cells[0]) for row in rows(content)] == [(3, "F1"), (6, "F2")]


def test_a_header_repeated_on_each_page_is_no_row() -> None:
    assert len(rows(f"{HEADER}\nF1;A;1;2;3\n{HEADER}\nF2;B;1;2;3")) == 2


def test_quoted_texts_keep_quotes_separators_and_line_breaks() -> None:
    content = f'{HEADER}\n"F1" ; "Dupont ""& Fils"";\nLyon" ;1;2;""\n'
    assert cells(content) == [("F1", 'Dupont "& Fils";\nLyon', "1", "2", "")]


def test_a_quote_inside_a_bare_text_is_a_character() -> None:
    assert cells(f'{HEADER}\nF1;Écran 12" noir;1;2;3')[0][1] == 'Écran 12" noir'


def test_a_quote_left_open_costs_its_own_line_only() -> None:
    found = rows(f'{HEADER}\nF1;"Dupont;1;2;3\nF2;B;1;2;3\nF3;"C";1;2;3\n')
    assert found[0] == Row(2, (), QUOTE_LEFT_OPEN)
    assert [row.cells[0] for row in found[1:]] == ["F2", "F3"]


def test_a_quote_left_open_does_not_swallow_the_row_that_happens_to_close_it() -> None:
    found = rows(f'{HEADER}\nF1;"Dupont;1;2;3\nF2;Écran 12";1;2;3\n')
    assert found == [Row(2, (), QUOTE_LEFT_OPEN), Row(3, ("F2", 'Écran 12"', "1", "2", "3"))]


def test_a_quote_left_open_at_the_end_or_before_many_lines_is_one_fault() -> None:
    assert rows(f'{HEADER}\nF1;"Dupont;1;2;3')[0].fault == QUOTE_LEFT_OPEN
    notes = "\n".join(["note"] * (MAX_LINES_OF_A_ROW + 5))
    assert rows(f'{HEADER}\nF1;"{notes}";1;2;3')[0] == Row(2, (), QUOTE_LEFT_OPEN)


def test_a_quote_that_closes_too_early_is_a_fault() -> None:
    assert rows(f'{HEADER}\nF1;"Dupont" SARL;1;2;3')[0].fault == QUOTE_MISPLACED


def test_a_line_with_too_many_cells_is_a_fault_and_one_with_too_few_is_completed() -> None:
    found = rows(f"{HEADER}\nF1;A;1;2;3;oups\nF2;a@b.example; c@d.example;1;2;\nF3;C\n;;;;;;\n")
    assert ["6 colonnes au lieu de 5" in row.fault for row in found] == [True, True, False]
    assert found[2].cells == ("F3", "C", "", "", "")


def test_nul_bytes_and_endless_lines_are_faults_and_reading_goes_on() -> None:
    long, longer = "x" * 200_000, "y" * 1_000_000
    content = f'{HEADER}\nF1;\0;1;2;3\nF2;{long};1;2;3\nF3;"{longer}";1;2;3\r\nF4;D;1;2;3'
    found = rows(content)
    assert [row.fault for row in found[:3]] == [NUL, TOO_LONG, TOO_LONG]
    assert found[3] == Row(5, ("F4", "D", "1", "2", "3"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "classeur Excel"),
        (b"\xd0\xcf\x11\xe0rest", "ancien classeur"),
        (b"%PDF-1.7", "document PDF"),
        (b"", "en-tête.*vide"),
        (b"\n\n;;;\n", "en-tête"),
        (b"bonjour\ntout le monde", "en-tête.*bonjour"),
        (b"\xff\xfe", "en-tête"),
        (b"\x00\x01\x02\x03\x04" * 50, "en-tête"),
    ],
)
def test_a_file_that_is_no_table_of_invoices_says_so(content: bytes, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        rows(content)


def test_a_missing_file_says_so_without_its_folders() -> None:
    with (
        pytest.raises(UnreadableFile, match=r"« absent\.csv » ne peut pas être ouvert"),
        opened(Path("/nowhere/absent.csv")),
    ):
        pass


class Pipe(io.RawIOBase):
    """A stream that cannot be read twice."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: Buffer
        return self._content.readinto(buffer)


def test_a_pipe_is_read_as_a_file_is() -> None:
    pipe = io.BufferedReader(Pipe(f"{HEADER}\nF1;A;1;2;3".encode()))
    with opened(pipe) as source:
        table = find_table(source, INVOICES.score)
        assert [len(list(table.rows())) for _ in range(2)] == [1, 1]


def test_a_stream_is_read_from_where_it_is() -> None:
    stream = io.BytesIO(b"HTTP headers\n\n" + f"{HEADER}\nF1;A;1;2;3".encode())
    stream.readline()
    with opened(stream) as source:
        assert len(list(find_table(source, INVOICES.score).rows())) == 1
    assert not stream.closed


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield HEADER
        for number in range(20_000):
            yield f"F{number};Client {number};01/02/2026;03/02/2026;1 234,56"

    path = tmp_path / "large.csv"
    path.write_text("\n".join(lines()))
    tracemalloc.start()
    with opened(path) as source:
        count = sum(1 for _ in find_table(source, INVOICES.score).rows())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 2
