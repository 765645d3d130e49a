import datetime
import zipfile
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
import pytest

from counterweight.base.errors import InputError
from counterweight.sheets import xlsx_validation
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.table_header import Cell
from counterweight.sheets.xlsx_validation import check_workbook, lost_formats


@pytest.fixture
def book(tmp_path: Path) -> Path:
    write_sheet(["id", "target"], [["a", "sea"]], tmp_path / "labels.xlsx", "xlsx")
    return tmp_path / "labels.xlsx"


def save(path: Path, *rows: list[Cell]) -> None:
    """Save a workbook with openpyxl, which turns text that begins with = into a formula without a result."""
    made = openpyxl.Workbook()
    for row in rows:
        assert made.active is not None
        made.active.append(row)
    made.save(path)


def change(path: Path, part: str, old: str, new: str) -> None:
    """Rewrite a part of a workbook."""
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    assert old.encode() in parts[part]
    parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)


def error_of(path: Path) -> str:
    with pytest.raises(InputError) as error:
        check_workbook(path)
    return str(error.value)


def test_a_workbook_without_errors_passes(book: Path) -> None:
    check_workbook(book)


def test_errors_and_uncalculated_formulas_are_reported_together(tmp_path: Path) -> None:
    save(tmp_path / "x.xlsx", ["id", "target"], ["a", "#N/A"], ["b", "=A1"], ["c", "#REF!"], ["d", "sea"])
    assert error_of(tmp_path / "x.xlsx") == (
        f"{tmp_path / 'x.xlsx'}: 2 problems\n"
        "  there is an error, such as #N/A, in B2, B4. Correct the cells, or empty them.\n"
        "  a formula was never calculated in B3. Open the sheet in Excel and save it."
    )


def test_only_the_first_of_many_cells_are_named(tmp_path: Path) -> None:
    save(tmp_path / "x.xlsx", ["id"], *(["#N/A"] for _ in range(30_000)))
    assert error_of(tmp_path / "x.xlsx") == (
        f"{tmp_path / 'x.xlsx'}: 1 problem\n"
        "  there is an error, such as #N/A, in A2, A3, A4, A5, A6 and 29,995 more. "
        "Correct the cells, or empty them."
    )


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A2"><f>1+1</f><v>2</v></c>',
        '<c r="A2" t="str"><f>""</f><v></v></c>',
        '<c r="A2" t="str"><f>B1</f><v>a</v></c>',
        '<c r="A2"><f t="shared" si="0"/><v>2</v></c>',
        '<c r="A2" s="1"/><c r="B2"><v>1</v></c>',
    ],
)
def test_formulas_with_a_result_and_empty_cells_pass(cell: str, book: Path) -> None:
    change(book, "xl/worksheets/sheet1.xml", "</sheetData>", f'<row r="2">{cell}</row></sheetData>')
    check_workbook(book)


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A3"><f>1+1</f></c>',
        '<c r="A3" s="1"><f>1+1</f><v/></c>',
        '<c s="1" r="A3"><f>1+1</f><v></v></c>',
        '<c r="A3"><f t="shared" si="0"/></c>',
        '<x:c xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main" r="A3"><x:f>1+1</x:f><x:v/></x:c>',
        "<c><f>1+1</f></c>",
    ],
)
def test_formulas_without_a_result_are_reported(cell: str, book: Path) -> None:
    change(book, "xl/worksheets/sheet1.xml", "</sheetData>", f'<row r="3">{cell}</row></sheetData>')
    assert "a formula was never calculated in A3." in error_of(book)


@pytest.mark.parametrize("cell", ["<c r='A3' t='e'><v>#N/A</v></c>", '<c t="e"><v>#N/A</v></c>'])
def test_errors_are_found_in_any_notation(cell: str, book: Path) -> None:
    change(book, "xl/worksheets/sheet1.xml", "</sheetData>", f'<row r="3">{cell}</row></sheetData>')
    assert "there is an error, such as #N/A, in A3." in error_of(book)


def test_a_strict_workbook_is_checked_too(tmp_path: Path) -> None:
    save(tmp_path / "x.xlsx", ["id"], ["#N/A"])
    for part in ("xl/workbook.xml", "xl/worksheets/sheet1.xml"):
        main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        change(tmp_path / "x.xlsx", part, main, "http://purl.oclc.org/ooxml/spreadsheetml/main")
    assert "there is an error, such as #N/A, in A2." in error_of(tmp_path / "x.xlsx")


def test_a_sheet_of_unclosed_tags_is_rejected_quickly(book: Path) -> None:
    change(book, "xl/worksheets/sheet1.xml", "</sheetData>", "<c t='e' " * 100_000)
    with pytest.raises(ParseError):
        check_workbook(book)


def test_only_the_first_sheet_is_checked(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active.append(["id"])
    made.create_sheet().append(["=A1"])
    made.save(tmp_path / "x.xlsx")
    check_workbook(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    ("cell", "reach"),
    [
        ("XFD1048576", "row 1,048,576 and column XFD"),
        ("XFD10000", "row 10,000 and column XFD"),
        ("ZZ1048576", "row 1,048,576 and column ZZ"),
    ],
)
def test_a_cell_that_is_far_from_the_table_is_refused_before_it_takes_gigabytes(
    cell: str, reach: str, tmp_path: Path
) -> None:
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active["A1"], made.active["A2"], made.active[cell] = "id", "a", "x"
    made.save(tmp_path / "x.xlsx")
    assert error_of(tmp_path / "x.xlsx") == (
        f"{tmp_path / 'x.xlsx'}: the sheet has 3 cells, but reaches to {reach}. Delete what is far from the table, or "
        "save the sheet as a .csv."
    )


def test_a_large_table_and_a_cell_at_some_distance_pass(tmp_path: Path) -> None:
    save(tmp_path / "x.xlsx", *([str(i)] * 60 for i in range(2_000)))
    check_workbook(tmp_path / "x.xlsx")
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active["A1"], made.active["ZZ9999"] = "id", "x"
    made.save(tmp_path / "y.xlsx")
    check_workbook(tmp_path / "y.xlsx")


def test_a_row_without_cells_may_be_anywhere(tmp_path: Path) -> None:
    save(tmp_path / "x.xlsx", *([str(i)] * 40 for i in range(200)))
    change(
        tmp_path / "x.xlsx", "xl/worksheets/sheet1.xml", "</sheetData>",
        '<row r="1048576" ht="30" customHeight="1"/></sheetData>',
    )  # fmt: skip
    check_workbook(tmp_path / "x.xlsx")


def test_a_sheet_among_the_pictures_is_checked_too(book: Path) -> None:
    with zipfile.ZipFile(book) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    sheet = parts.pop("xl/worksheets/sheet1.xml")
    parts["xl/media/sheet1.xml"] = sheet.replace(b"<worksheet", b'<!DOCTYPE x [<!ENTITY a "a">]><worksheet', 1)
    links = "xl/_rels/workbook.xml.rels"
    parts[links] = parts[links].replace(b"worksheets/sheet1.xml", b"media/sheet1.xml")
    with zipfile.ZipFile(book, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    assert "xl/media/sheet1.xml declares a document type or entities" in error_of(book)


def test_an_entity_bomb_is_refused(book: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><worksheet'
    change(book, "xl/worksheets/sheet1.xml", "<worksheet", bomb)
    assert error_of(book) == (
        f"{book}: xl/worksheets/sheet1.xml declares a document type or entities, which Excel never does. Save the "
        "sheet again in Excel."
    )


def test_entities_are_refused_in_any_part_and_encoding(book: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(book) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    text = parts["xl/workbook.xml"].decode().partition("?>")[2]
    wide = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "a">]>' + text.lstrip()
    for name, part, content in (
        ("dat", "xl/worksheets/sheet1.dat", b'<!DOCTYPE x [<!ENTITY a "a">]><worksheet/>'),
        ("utf-16", "xl/workbook.xml", wide.encode("utf-16")),
        ("utf-16-be", "xl/styles.xml", wide.encode("utf-16-be")),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            for other, held in (parts | {part: content}).items():
                packed.writestr(other, held)
        assert error_of(tmp_path / name).startswith(f"{tmp_path / name}: {part} declares a document type")


def test_a_workbook_that_unpacks_to_more_than_the_limit_is_refused(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_validation, "MAX_UNPACKED_BYTES", 1000)
    assert "bytes, more than the limit of 1,000. Save the sheet alone, as a .csv." in error_of(book)


def test_a_workbook_with_a_password_is_refused(tmp_path: Path) -> None:
    # A workbook with a password is not a zip but a compound file, as all were before Excel 2007.
    (tmp_path / "x.xlsx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(4000))
    assert error_of(tmp_path / "x.xlsx") == (
        f"{tmp_path / 'x.xlsx'}: the workbook is protected by a password, or older than Excel 2007. Save it as .xlsx "
        "without a password."
    )


def test_hyperlinks_and_formats_of_cells_that_are_used_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["id", 0.5, datetime.date(2026, 11, 30), 7, 1.5])
    book.active["A1"].hyperlink = "https://example.invalid/"
    book.active["B1"].number_format = "0%"
    book.active["D1"].number_format = "dd.mm.yy"
    book.active["E1"].number_format = '0.0 "kg"'
    book.create_sheet("plain").append(["id", 7])
    book.save(tmp_path / "a.xlsx")
    found = lost_formats(tmp_path / "a.xlsx")
    assert found == ["hyperlinks", "0%", '0.0 "kg"', "dd.mm.yy"]
    assert lost_formats(tmp_path / "a.xlsx", "plain") == []
