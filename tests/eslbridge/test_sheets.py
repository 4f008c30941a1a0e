"""Reading what people upload, and writing what they can open without harm."""

import csv
import io
import zipfile
from datetime import date

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eslbridge.importing import sheets
from eslbridge.importing.columns import as_typed
from eslbridge.importing.sheets import MAX_ROWS, Unreadable, guarded, read, unguarded

ROWS = [("1020", "Ann Lee"), ("1021", "Zoë Müller")]


def table(content: bytes) -> list[tuple[str, ...]]:
    sheet = read(content)
    assert sheet.headers == ["extension", "name"]
    return list(sheet)


def workbook(*rows: tuple) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


# --- CSV ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_reads_what_spreadsheets_write(encoding: str, separator: str, line_end: str) -> None:
    lines = [separator.join(row) for row in [("extension", "name"), *ROWS]]
    assert table(line_end.join([*lines, ""]).encode(encoding)) == ROWS


def test_obeys_the_separator_that_excel_names() -> None:
    assert table(b"sep=;\r\nextension;name\r\n1020;Lee, Ann\r\n") == [("1020", "Lee, Ann")]


def test_a_separator_in_a_quoted_name_does_not_mislead() -> None:
    sheet = read(b'extension;"a,b,c,d"\n1020;Ann\n')
    assert sheet.headers == ["extension", "a,b,c,d"]


def test_windows_1252_is_read_and_said() -> None:
    sheet = read("extension,name\n1020,Ann\n1021,Zoë Müller\n".encode("cp1252"))
    assert list(sheet)[1] == ROWS[1]
    assert "row 3" in sheet.notices[0] and "Windows-1252" in sheet.notices[0]
    assert "CSV UTF-8" in sheet.notices[0]


def test_rows_are_numbered_as_the_spreadsheet_shows_them() -> None:
    sheet = read(b'extension,name\n\n1020,"two\nlines"\n,\n1021,Bob\n')
    assert sheet.numbers == [3, 5]


def test_short_rows_are_filled_up() -> None:
    assert table(b"extension,name\n1020\n") == [("1020", "")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \r\n\r\n", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
        (b"extension,name\n", "no row below"),
        (b"extension,name\n1020,Ann,Lee\n", "Row 2 has 3 cells, but only 2 columns"),
        (b'extension,name\n1020,"Ann\n1021,Bob\n', "Row 2 cannot be read"),
        (b'extension,name\n1020,Ann\n1021,"Bob" Lee\n', "Row 3 cannot be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "picture"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Excel"),
        (bytes(range(1, 32)) * 40, "not a spreadsheet"),
        (b"extension,name\n1020,Andr\x81\n", "no known encoding"),
        (b"PK\x03\x04 cut off", "damaged"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(content: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(content)


def test_100_000_rows_are_refused_with_the_limit() -> None:
    content = b"extension,name\n" + b"".join(b"%d,Agent\n" % number for number in range(100_000, 200_000))
    with pytest.raises(Unreadable, match=r"more than 20,000 rows.*Split it"):
        read(content)


def test_the_limit_itself_is_read() -> None:
    assert len(read(b"extension\n" + b"1020\n" * MAX_ROWS)) == MAX_ROWS


def test_a_file_of_many_megabytes_is_refused_unread() -> None:
    with pytest.raises(Unreadable, match=r"11\.0 MB; at most 10 MB and 20,000 rows"):
        read(b"a" * (11 * 2**20))


# --- XLSX --------------------------------------------------------------------------------------------


def test_numbers_of_excel_are_read_as_they_were_typed() -> None:
    content = workbook(("extension", "name"), (1020, 1020.0), (49_152_123_456_789, True), ("0042", 1.5))
    assert table(content) == [("1020", "1020"), ("49152123456789", "yes"), ("0042", "1.5")]


def test_cells_that_hold_no_text_are_named() -> None:
    content = workbook(
        ("extension", "name"), ("=A1+1", date(2026, 1, 2)), ("1020", "#REF!"), (1234567890123456, "x")
    )
    found = [(each.row, each.column, each.text) for each in read(content).problems]
    assert [each[:2] for each in found] == [(2, "extension"), (2, "name"), (3, "name"), (4, "extension")]
    for (_, _, text), words in zip(found, ["formula", "date", "calculate", "rounded"], strict=True):
        assert words in text


def test_only_the_visible_sheet_is_read_and_that_is_said() -> None:
    book = openpyxl.Workbook()
    book.active.append(("extension", "name"))
    book.active.append(("1020", "Ann"))
    book.create_sheet("Notes").append(("anything",))
    out = io.BytesIO()
    book.save(out)
    sheet = read(out.getvalue())
    assert list(sheet) == [("1020", "Ann")] and "several sheets" in sheet.notices[0]


def test_a_wrong_word_about_the_sheets_size_cuts_nothing_off() -> None:
    with zipfile.ZipFile(io.BytesIO(workbook(("extension", "name"), *ROWS))) as archive:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as lying:
            for name in archive.namelist():
                lying.writestr(
                    name, archive.read(name).replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"')
                )
    assert b'ref="A1"' in zipfile.ZipFile(out).read("xl/worksheets/sheet1.xml")
    assert table(out.getvalue()) == ROWS


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" ")
        with archive.open("xl/sharedStrings.xml", "w") as stream:
            for _ in range(65):
                stream.write(b" " * 2**20)
    with pytest.raises(Unreadable, match="unpacks to more than 64 MB"):
        read(out.getvalue())


@pytest.mark.parametrize("name", ["mimetype", "word/document.xml"])
def test_other_archives_are_refused(name: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(Unreadable, match=r"not an \.xlsx file"):
        read(out.getvalue())


def test_a_chart_in_front_is_refused_with_the_fix() -> None:
    book = openpyxl.Workbook()
    book.create_chartsheet("Chart", 0)
    out = io.BytesIO()
    book.save(out)
    with pytest.raises(Unreadable, match="without charts"):
        read(out.getvalue())


def test_a_damaged_xlsx_is_refused() -> None:
    content = bytearray(workbook(("extension", "name"), *ROWS))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as damaged:
            for name in archive.namelist():
                text = archive.read(name)
                damaged.writestr(name, text[: len(text) // 2] if "sheet1" in name else text)
    with pytest.raises(Unreadable, match="cannot be read"):
        read(out.getvalue())


# --- out and in again --------------------------------------------------------------------------------

DANGEROUS = ["=1+1", "+19495431333", "-5", "@SUM(A1)", "'=1+1", "''=x", "\t=1", "＝1", "'t Hooft", "=", "'"]


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_cell_of_a_csv_file_is_a_formula(text: str) -> None:
    content = sheets.to_csv(["name"], [[text]]).decode("utf-8-sig")
    written = list(csv.reader(io.StringIO(content)))[1][0]
    assert written[0] not in "=+-@\t\r＝＋－＠"
    assert unguarded(written) == text


@given(st.text())
def test_guarding_is_undone_exactly(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_no_cell_of_an_xlsx_file_is_a_formula_and_all_come_back() -> None:
    content = sheets.to_xlsx("x", ["name"], [[text] for text in DANGEROUS])
    page = openpyxl.load_workbook(io.BytesIO(content)).active
    assert {(cell.data_type, cell.number_format) for row in page.iter_rows() for cell in row} == {("s", "@")}
    assert [row[0] for row in read(content)] == DANGEROUS
    assert read(content).problems == []


LETTERS = st.text(
    st.characters(blacklist_categories=["Cc", "Cs"], blacklist_characters="\ufffe\uffff"), min_size=1
)


@given(st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=5))
def test_csv_comes_back_as_it_went(rows: list[tuple[str, str]]) -> None:
    rows = [("x" + first, second + "x") for first, second in rows]
    assert table(sheets.to_csv(["extension", "name"], rows)) == rows


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("1020", "1020"),
        (" 1020 ", "1020"),
        ("1020.0", "1020"),
        ("1020,00", "1020"),
        ("0042", "0042"),
        ("1.020E+03", "1020"),
        ("1,020e3", "1020"),
        ("+19495431333", "+19495431333"),
        ("1020.5", "1020.5"),
        ("10-20", "10-20"),
        ("", ""),
    ],
)
def test_a_number_is_read_as_it_was_typed(text: str, typed: str) -> None:
    assert as_typed(text) == typed


@pytest.mark.parametrize("text", ["1.02E+03", "1.94954E+10", "4.9152E+13", "1E3"])
def test_a_number_that_lost_digits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rounded.*as text"):
        as_typed(text)
