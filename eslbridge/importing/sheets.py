"""Spreadsheet files: what people really upload as "CSV" or XLSX, and what they can open without harm.

A cell that begins with = + - or @ is a formula to a spreadsheet program, and may run commands there. CSV has
no way to say "this is text", so such a cell is written with an apostrophe in front, and one apostrophe is
taken away from such a cell when it comes back. In XLSX the cells say themselves that they are text.
"""

import csv
import io
import math
import re
import zipfile
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time, timedelta
from typing import Any, NamedTuple

import tablib

# 20,000 files are one batch of the publisher: a bigger import would need a second reload all the same.
MAX_ROWS = 20_000
MAX_BYTES = 10 * 2**20  # 20,000 agents with every column are 4 MB
MAX_UNPACKED = 64 * 2**20  # an XLSX file is a ZIP file, and may unpack to a thousand times its size
MAX_COLUMNS = 100
_FORMULA = "=+\\-@\t\r＝＋－＠"  # the wide ones, too: Excel in Japanese takes them for the same
_EVALUATED = re.compile(f"[{_FORMULA}]")
_GUARDED = re.compile(f"'+[{_FORMULA}]")
_BYTE_ORDER_MARKS = (
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
_NOT_A_SHEET = {
    b"%PDF": "a PDF file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x1f\x8b": "a compressed file: unpack it first",
    b"\x7fELF": "a program",
}
_SAVE_AS = "Save it as “CSV UTF-8” or as .xlsx, and upload that."
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


class Unreadable(ValueError):
    """A file that cannot be read as a table. The text says why and what to do."""


class Problem(NamedTuple):
    """What is wrong with one cell: its row as the spreadsheet counts, its column's name, the fix in words."""

    row: int
    column: str
    value: str
    text: str


class Sheet(tablib.Dataset):
    """A table of texts; `numbers[i]` is the spreadsheet's own number of the i-th row.

    `notices` are things that the user should look at; `problems` cells that hold no text.
    """

    def __init__(self, headers: Sequence[str]) -> None:
        super().__init__(headers=list(headers))
        self.numbers: list[int] = []
        self.notices: list[str] = []
        self.problems: list[Problem] = []


def read(content: bytes) -> Sheet:
    """The table in an uploaded file, whatever its kind; raises Unreadable with the fix."""
    if len(content) > MAX_BYTES:
        raise Unreadable(too_big(len(content)))
    if not content.strip():
        raise Unreadable("The file is empty. The first row must hold the names of the columns.")
    if content.startswith(b"PK\x03\x04"):
        return _read_xlsx(content)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable(f"This is a file of an old Excel (.xls) or a protected one. {_SAVE_AS}")
    for start, what in _NOT_A_SHEET.items():
        if content.startswith(start):
            raise Unreadable(f"This is not a spreadsheet but {what}. Upload a .csv or .xlsx file.")
    return _read_csv(content)


def too_big(size: int) -> str:
    """What to say of a file of `size` bytes."""
    return (
        f"The file has {size / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB and {MAX_ROWS:,} rows can be "
        "imported at once. Split it into several files."
    )


# --- CSV ---------------------------------------------------------------------------------------------


def _read_csv(content: bytes) -> Sheet:
    text, notice = _decoded(content)
    if len(_CONTROL.findall(text[:2000])) > len(text[:2000]) / 20:
        raise Unreadable(f"This is not a spreadsheet. {_SAVE_AS}")
    lines = io.StringIO(text, newline="")
    first = lines.readline()
    if found := re.fullmatch(r"sep=(.)\s*", first):  # what Excel writes and obeys
        delimiter, skipped = found[1], 1
    else:
        lines.seek(0)
        delimiter, skipped = _delimiter(first if first.strip() else text[:10_000]), 0
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    sheet = _table(_numbered(rows, skipped))
    if notice:
        sheet.notices.append(notice)
    return sheet


def _numbered(rows: Any, skipped: int) -> Iterator[tuple[int, list[str]]]:
    number = skipped
    try:
        for number, row in enumerate(rows, skipped + 1):
            yield number, row
    except csv.Error as problem:
        raise Unreadable(
            f"Row {number + 1} cannot be read ({problem}): a quotation mark is not closed, or stands inside "
            'a cell. Write a cell that holds one between quotation marks and double it: "Ann ""Lee""".'
        ) from None


def _decoded(content: bytes) -> tuple[str, str]:
    """The text and, when its encoding had to be guessed, what to tell the user."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decode(content, encoding), ""
    if b"\0" in content[:2000]:
        even, odd = content[:2000:2].count(0), content[1:2000:2].count(0)
        return _decode(content, "utf-16-be" if even > odd else "utf-16-le"), ""
    try:
        return content.decode(), ""
    except UnicodeDecodeError as problem:
        row = content.count(b"\n", 0, problem.start) + 1
        return _decode(content, "cp1252"), (
            f"The file is not in UTF-8 (see row {row}); it was read as Windows-1252. Look at the letters "
            "with accents below: where they are wrong, save the file as “CSV UTF-8” and upload that."
        )


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise Unreadable(f"The letters of this file are in no known encoding. {_SAVE_AS}") from None


def _delimiter(header: str) -> str:
    """What separates the names of the columns, outside of quotation marks."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=bare.count)


# --- XLSX --------------------------------------------------------------------------------------------


def _read_xlsx(content: bytes) -> Sheet:
    import openpyxl  # 60 ms that only the pages of imports need

    _refuse_other_archives(content)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        page = book.active or book.worksheets[0]
        page.reset_dimensions()  # what the file says of its own size may be wrong, and would cut rows off
        problems: list[Problem] = []
        sheet = _table(_cells(page, problems))
    except Unreadable:
        raise
    except Exception as problem:  # noqa: BLE001 - a broken file fails in many ways deep inside
        raise Unreadable(
            f"The .xlsx file cannot be read ({problem}). Save the table, without charts, once more."
        ) from None
    names = dict(enumerate(sheet.headers))
    sheet.problems = [each._replace(column=names.get(int(each.column), "")) for each in problems]
    if len(book.worksheets) > 1:
        sheet.notices.append(f"The file has several sheets; only “{page.title}” was read.")
    return sheet


def _refuse_other_archives(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError):
        raise Unreadable("The .xlsx file is damaged or cut off. Save it once more.") from None
    if "xl/workbook.xml" not in names:
        raise Unreadable(f"This is not an .xlsx file. {_SAVE_AS}")
    if unpacked > MAX_UNPACKED:
        raise Unreadable(
            f"The file unpacks to more than {MAX_UNPACKED // 2**20} MB; at most {MAX_ROWS:,} rows can be "
            "imported at once. Delete what does not belong to the table, or save the table as CSV."
        )


def _cells(page: Any, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    for number, row in enumerate(page.iter_rows(max_col=MAX_COLUMNS + 1), 1):
        texts = []
        for column, cell in enumerate(row):
            text, problem = _text_of(cell)
            texts.append(text)
            if problem:
                problems.append(Problem(number, str(column), text, problem))
        yield number, texts


def _text_of(cell: Any) -> tuple[str, str]:  # noqa: PLR0911 - one line for each kind of cell
    """A cell as the text that was meant, and what is wrong with it."""
    match cell.value:
        case None:
            return "", ""
        case bool(value):
            return ("yes" if value else "no"), ""
        case int(value):
            return str(value), "" if abs(value) < 10**15 else _ROUNDED
        case float(value) if value.is_integer():
            return str(int(value)), "" if abs(value) < 10**15 else _ROUNDED
        case float(value):
            return ("" if math.isnan(value) else repr(value)), ""
        case date() | time() | timedelta() as value:
            return str(
                value
            ), "The spreadsheet made a date of this. Format the column as text and type it again."
    text = str(cell.value)
    if cell.data_type == "f":
        return text, "This is a formula. Copy the column and paste it as values only."
    if cell.data_type == "e":
        return text, "The spreadsheet could not calculate this. Type the value itself."
    return text, ""


_ROUNDED = "The spreadsheet rounded this number. Format the column as text and type the number again."


# --- both --------------------------------------------------------------------------------------------


def _table(rows: Iterable[tuple[int, list[str]]]) -> Sheet:
    """The first row that holds anything names the columns; rows without anything are left out."""
    sheet: Sheet | None = None
    for number, texts in rows:
        if number > 5 * MAX_ROWS:
            raise Unreadable(f"The file goes on after row {5 * MAX_ROWS:,}. Delete the empty rows.")
        row = _trimmed(texts)
        if not row:
            continue
        if sheet is None:
            sheet = Sheet([name.strip() for name in row])
            if len(row) > MAX_COLUMNS:
                raise Unreadable(f"Row {number} names more than {MAX_COLUMNS} columns.")
            continue
        if len(sheet.numbers) == MAX_ROWS:
            raise Unreadable(
                f"The file has more than {MAX_ROWS:,} rows, which is the most that can be imported at once. "
                "Split it into several files."
            )
        if len(row) > len(sheet.headers):
            raise Unreadable(
                f"Row {number} has {len(row)} cells, but only {len(sheet.headers)} columns have a name. "
                "Put a cell that holds the separator between quotation marks, or name the column in row 1."
            )
        sheet.append([unguarded(text) for text in row] + [""] * (len(sheet.headers) - len(row)))
        sheet.numbers.append(number)
    if sheet is None:
        raise Unreadable("The file is empty. The first row must hold the names of the columns.")
    if not sheet.numbers:
        raise Unreadable("The file names columns, but has no row below.")
    return sheet


def _trimmed(row: list[str]) -> list[str]:
    end = len(row)
    while end and not row[end - 1].strip():
        end -= 1
    return row[:end]


def guarded(text: str) -> str:
    """The text as a cell of a CSV file: never a formula."""
    return f"'{text}" if _EVALUATED.match(text) or _GUARDED.match(text) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given; any other text as it is."""
    return text[1:] if _GUARDED.match(text) else text


def to_csv(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV file that Excel, too, opens with the right letters (UTF-8 with its mark)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(headers)
    writer.writerows([guarded(text) for text in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(title: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """An XLSX file in which every cell is text, and stays so when it is edited."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    page = book.create_sheet(title)
    page.freeze_panes = "A2"
    for index, header in enumerate(headers, 1):
        dimension = page.column_dimensions[get_column_letter(index)]
        dimension.width, dimension.number_format = max(14, len(header) + 2), "@"

    def cell(text: str, *, bold: bool = False) -> Any:
        made = WriteOnlyCell(page, ILLEGAL_CHARACTERS_RE.sub("\ufffd", text))
        made.data_type = "s"  # not "f", which openpyxl takes from an = at the beginning
        made.number_format = "@"
        if bold:
            made.font = Font(bold=True)
        return made

    page.append([cell(header, bold=True) for header in headers])
    for row in rows:
        page.append([cell(f"'{text}" if _GUARDED.match(text) else text) if text else None for text in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
