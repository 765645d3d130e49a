import datetime
import html
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.base.errors import InputError
from counterweight.base.limits import check_row_count
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import Sheet, read_sheet
from counterweight.sheets.table_header import Cell

# No XML can hold a surrogate, U+FFFE or U+FFFF, so no .xlsx does.
XML_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=20)
# Text that a spreadsheet might read as a formula, a command or a number.
BAIT = st.builds(str.__add__, st.sampled_from(["=", "+", "-", "@", "'", " ", "=1+", "{=", "http://", "TRUE"]), XML_TEXT)
TEXT = XML_TEXT | BAIT
# Excel's numbers are doubles, in which whole numbers are exact up to 2**53.
WHOLE = st.integers(-(2**53), 2**53)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
DATES = st.dates(datetime.date(1900, 1, 1))
MOMENTS = st.builds(
    datetime.datetime.combine,
    DATES,
    # In Excel, midnight is a date without a time.
    st.times().map(lambda moment: moment.replace(microsecond=0)).filter(lambda moment: moment != datetime.time()),
)

by_example = settings(deadline=None, derandomize=True, max_examples=50)


@pytest.fixture(scope="module")
def workbook_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sheets") / "labels.xlsx"


def written_and_read(cells: list[Cell], path: Path) -> list[Cell]:
    # Without the word at the end, empty rows would be dropped.
    write_sheet(["cell", "end"], [[cell, "end"] for cell in cells], path, path.suffix[1:])
    sheet = read_sheet(path)
    assert sheet.columns == ["cell", "end"]
    assert [row[1] for row in sheet.rows] == ["end"] * len(cells)
    return [row[0] for row in sheet.rows]


@given(cells=st.lists(TEXT, min_size=1, max_size=20))
@by_example
def test_any_text_is_read_back_from_a_workbook(cells: list[Cell], workbook_path: Path) -> None:
    assert written_and_read(cells, workbook_path) == cells


@given(cells=st.lists(WHOLE | FINITE, min_size=1, max_size=20))
@by_example
def test_any_number_is_read_back_from_a_workbook(cells: list[Cell], workbook_path: Path) -> None:
    assert written_and_read(cells, workbook_path) == cells


@given(cells=st.lists(DATES | MOMENTS | st.booleans(), min_size=1, max_size=20))
@by_example
def test_any_date_and_boolean_is_read_back_from_a_workbook(cells: list[Cell], workbook_path: Path) -> None:
    result = written_and_read(cells, workbook_path)
    assert [(type(cell), cell) for cell in result] == [(type(cell), cell) for cell in cells]


@given(cells=st.lists(TEXT.filter(bool), min_size=1, max_size=20))
@by_example
def test_another_reader_sees_text_and_no_formula(cells: list[str], workbook_path: Path) -> None:
    write_sheet(["cell"], [[cell] for cell in cells], workbook_path, "xlsx")
    (column,) = openpyxl.load_workbook(workbook_path).active.iter_cols(min_row=2)
    assert [cell.data_type for cell in column] == ["s"] * len(cells)


@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=20))
@by_example
def test_any_text_is_read_back_from_a_csv(cells: list[Cell], workbook_path: Path) -> None:
    assert written_and_read(cells, workbook_path.with_suffix(".csv")) == cells


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "{=1}", "'quoted'", '"', "a,b", "0012", "1e5", "TRUE", "NA", "#REF!"),
        *(" ", "  lead", "trail  ", "\t", "a\nb", "a\r\nb", "a\rb", "\r", "\x00", "\x0b", "\x7f", "\u2028"),
        *("Früh", "海", "🏔", "&amp;", "<b>", "<r>", "<r>a</r>", "<r><t>a</t></r>"),
        *("_x000D_", "_x0041_", "_x005F_", "_x005F_x0041_", "_x0041_x0042_"),
    ],
)
def test_text_is_read_back_unchanged(text: str, suffix: str, tmp_path: Path) -> None:
    assert written_and_read([text], tmp_path / f"labels{suffix}") == [text]


@pytest.mark.parametrize("number", [0, -7, 12, 2**53, 0.1, 1 / 3, 0.1 + 0.2, 5e-324, 1.7976931348623157e308])
def test_a_number_is_read_back_exactly(number: float, tmp_path: Path) -> None:
    assert written_and_read([number], tmp_path / "labels.xlsx") == [number]


@pytest.mark.parametrize(
    "cell",
    [
        True,
        False,
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 12, 30, 15),
        datetime.time(12, 30),
        datetime.timedelta(hours=30),
    ],
)
def test_a_cell_keeps_its_type(cell: Cell, tmp_path: Path) -> None:
    (result,) = written_and_read([cell], tmp_path / "labels.xlsx")
    assert (type(result), result) == (type(cell), cell)


def test_another_reader_sees_the_same_cells(tmp_path: Path) -> None:
    rows = [["0012", 3, 0.25, True, datetime.datetime(2024, 2, 29, 12, 30)], ["", 0, -1.5, False, "=A1"]]
    write_sheet(["id", "n", "x", "flag", "when"], rows, tmp_path / "labels.xlsx", "xlsx")
    seen = list(openpyxl.load_workbook(tmp_path / "labels.xlsx").active.iter_rows(values_only=True))
    assert seen == [
        ("id", "n", "x", "flag", "when"),
        ("0012", 3, 0.25, True, datetime.datetime(2024, 2, 29, 12, 30)),
        (None, 0, -1.5, False, "=A1"),
    ]


def test_every_cell_of_a_csv_is_text(tmp_path: Path) -> None:
    write_sheet(["id", "n", "flag"], [["a", 1, True]], tmp_path / "labels.csv", "csv")
    assert read_sheet(tmp_path / "labels.csv") == Sheet(["id", "n", "flag"], [["a", "1", "True"]])


@pytest.mark.parametrize("format", ["xlsx", "csv"])
def test_the_same_cells_give_the_same_bytes_a_second_later(format: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_sheet(["id", "when"], [["a", datetime.date(2024, 2, 29)]], tmp_path / name, format)
        # Zip timestamps have a resolution of two seconds.
        time.sleep(2 if format == "xlsx" and name == "first" else 0)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_temporary_files_are_beside_the_workbook_and_removed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    left_by_a_kill = tmp_path / ".labels.xlsx.scratch"
    left_by_a_kill.mkdir()
    (left_by_a_kill / "tmp1").write_bytes(b"<row")
    write_sheet(["id"], [["a"]], tmp_path / "labels.xlsx", "xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.xlsx"]


def test_short_rows_are_padded_and_empty_rows_at_the_end_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,split,target\na,train\n\nb,test,sea\n,,\n\n")
    sheet = read_sheet(tmp_path / "labels.csv")
    assert sheet.rows == [["a", "train", ""], ["", "", ""], ["b", "test", "sea"]]


def test_spaces_around_column_names_are_stripped(tmp_path: Path) -> None:
    write_sheet([" id", "split "], [["a", "train"]], tmp_path / "labels.xlsx", "xlsx")
    assert read_sheet(tmp_path / "labels.xlsx").columns == ["id", "split"]


def test_the_byte_order_mark_of_excels_csv_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbfid\r\na\r\n")
    assert read_sheet(tmp_path / "labels.csv") == Sheet(["id"], [["a"]])


def test_a_suffix_may_be_upper_case(tmp_path: Path) -> None:
    (tmp_path / "LABELS.CSV").write_text("id\na\n")
    assert read_sheet(tmp_path / "LABELS.CSV").rows == [["a"]]


def test_the_first_sheet_of_a_workbook_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["id"])
    book.active.append(["a"])
    book.create_sheet("notes").append(["no image"])
    book.save(tmp_path / "labels.xlsx")
    assert read_sheet(tmp_path / "labels.xlsx") == Sheet(["id"], [["a"]])


def test_an_empty_first_column_is_kept(tmp_path: Path) -> None:
    write_sheet(["", "id"], [["", "a"]], tmp_path / "labels.xlsx", "xlsx")
    assert read_sheet(tmp_path / "labels.xlsx") == Sheet(["", "id"], [["", "a"]])


def test_a_column_with_cells_but_no_name_is_an_error(tmp_path: Path) -> None:
    write_sheet(["id", ""], [["a", "a note"]], tmp_path / "labels.xlsx", "xlsx")
    with pytest.raises(InputError, match="column 2"):
        read_sheet(tmp_path / "labels.xlsx")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_sheet(tmp_path / "labels.xlsx")
    assert str(error.value) == (
        f"{tmp_path / 'labels.xlsx'}: there is no such file. Set data.sheet in params.yaml to your sheet."
    )


@pytest.mark.parametrize("suffix", [".xls", ".ods", ".doc", ""])
def test_another_file_type_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    path.write_text("id\na\n")
    with pytest.raises(InputError) as error:
        read_sheet(path)
    assert str(error.value) == (
        f"{path}: a sheet is one of .xlsx, .csv, .tsv, .txt, .jsonl, .parquet, not '{suffix}'. Save it as one of these."
    )


@pytest.mark.parametrize(
    "content", [b"", b"<html><table><tr><td>id</td></tr></table></html>", b"PK\x03\x04 half of a zip"]
)
def test_an_xlsx_that_is_not_a_workbook_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.xlsx"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_sheet(path)
    assert str(error.value).startswith(f"{path}: not a workbook: ")
    assert str(error.value).endswith(". Save it as .xlsx in Excel.")


@pytest.mark.parametrize("content", ["id\nFrüh\n".encode("latin-1"), b'id\n"a\n'])
def test_a_csv_that_is_not_utf_8_or_has_an_open_quote_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_sheet(path)
    assert str(error.value).startswith(f"{path}: not a CSV in UTF-8: ")
    assert str(error.value).endswith(". Save it as 'CSV UTF-8'.")


def test_a_repeated_column_name_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,target, id\na,sea,b\n")
    with pytest.raises(InputError) as error:
        read_sheet(path)
    assert str(error.value) == f"{path} row 1: the column name 'id' occurs twice. Rename one of them."


@pytest.mark.parametrize(("text", "rows"), [("", 0), ("id\n", 1), ("id,target\n,\n", 1)])
def test_a_sheet_without_rows_is_refused(text: str, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_sheet(path)
    assert str(error.value).startswith(
        f"{path}: the sheet needs a row of column names and one row per image, found {rows} "
    )


def test_as_many_rows_as_excel_holds_are_accepted() -> None:
    check_row_count(1_048_575, "xlsx")


def test_one_row_more_than_excel_holds_is_refused() -> None:
    with pytest.raises(InputError) as error:
        check_row_count(1_048_576, "xlsx")
    assert str(error.value) == (
        "the balanced sheet would have 1,048,576 rows, and Excel holds 1,048,575 below the column names. "
        "Set sheet.format to csv, or lower augment.target."
    )


def test_a_csv_holds_any_number_of_rows() -> None:
    check_row_count(1_048_576, "csv")


def test_the_longest_text_that_excel_holds_is_read_back(tmp_path: Path) -> None:
    assert written_and_read(["a" * 32_767], tmp_path / "labels.xlsx") == ["a" * 32_767]


@pytest.mark.parametrize(
    "text",
    # Excel counts UTF-16 code units; the mountain has two.
    ["a" * 32_768, "🏔" * 16_384],
    ids=["letters", "pictures"],
)
def test_text_that_excel_would_truncate_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        write_sheet(["id", "note"], [["a", text]], tmp_path / "labels.xlsx", "xlsx")
    assert str(error.value) == (
        "row 2, column 2: 32,768 characters; Excel takes 32,767 in a cell. Shorten it, or set sheet.format to csv."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_csv_may_have_text_of_any_length(tmp_path: Path) -> None:
    assert written_and_read(["a" * 32_768], tmp_path / "labels.csv") == ["a" * 32_768]


def test_merged_cells_are_reported(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["id", "target"], ["a", "sea"], ["b", None], ["c", "sea"]):
        book.active.append(row)
    book.active.merge_cells("B2:B3")
    book.save(tmp_path / "labels.xlsx")
    with pytest.raises(InputError) as error:
        read_sheet(tmp_path / "labels.xlsx")
    assert str(error.value) == (
        f"{tmp_path / 'labels.xlsx'}: 1 problem\n"
        "  the cells B2:B3 are merged. Unmerge them, and give each its own content."
    )


def test_libreoffice_sees_text_and_no_formula(tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed")
    bait = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://example.invalid")', "{=1+1}"]
    write_sheet(["cell"], [[text] for text in bait], tmp_path / "labels.xlsx", "xlsx")
    # Two instances cannot share a profile.
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [office, profile, "--headless", "--convert-to", "fods", "--outdir", tmp_path, tmp_path / "labels.xlsx"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    opened = (tmp_path / "labels.fods").read_text(encoding="utf-8")
    assert "table:formula" not in opened
    shown = [html.unescape(text) for text in re.findall(r"<text:p>(.*?)</text:p>", opened)]
    assert shown == ["cell", *bait]


def test_a_damaged_workbook_is_read_or_refused(tmp_path: Path) -> None:
    path, rng = tmp_path / "labels.xlsx", random.Random(0)
    write_sheet(["id", "target"], [[f"{i}.jpg", "sea"] for i in range(50)], path, "xlsx")
    whole, read, refused = path.read_bytes(), 0, 0
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read += bool(read_sheet(path).rows)
        except InputError as error:
            refused += str(path) in str(error)
    assert read + refused == 600
    assert min(read, refused) > 5


@pytest.mark.parametrize("name", ["labels.csv", "labels.xlsx"])
def test_whole_numbers_are_integers_for_another_reader(name: str, tmp_path: Path) -> None:
    write_sheet(["age", "height"], [[12.0, 1.0], [7.0, 1.5]], tmp_path / name, name.split(".")[1])
    table = pd.read_csv(tmp_path / name) if name.endswith("csv") else pd.read_excel(tmp_path / name, engine="openpyxl")
    assert table.dtypes.astype(str).tolist() == ["int64", "float64"]
