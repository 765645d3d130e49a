import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet

JSON_LINES = """{"file_name": "a.jpg", "labels": ["sea", "sky"], "size": 3}
{"file_name": "b.jpg", "labels": [], "box": {"x": 1}, "checked": true}
{"file_name": "c.jpg", "labels": null}
"""


def test_objects_are_rows_and_their_keys_columns(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    path.write_text(JSON_LINES)
    sheet = read_sheet(path)
    assert sheet.columns == ["file_name", "labels", "size", "checked"]
    assert sheet.rows == [["a.jpg", '["sea", "sky"]', 3, ""], ["b.jpg", "[]", "", True], ["c.jpg", "", "", ""]]
    assert sheet.notes == (f"{path}: the columns box are left out, since they hold no cells",)
    assert sheet.place(0) == "row 1"


def test_numbers_that_excel_cannot_hold_keep_their_digits_or_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"id": 1234567890123456789, "age": NaN, "size": Infinity}\n')
    sheet = read_sheet(path)
    assert sheet.rows == [[1234567890123456789, "", "inf"]]
    write_sheet(sheet.columns, sheet.rows, tmp_path / "s.xlsx", "xlsx")
    assert read_sheet(tmp_path / "s.xlsx").rows == [["1234567890123456789", "", "inf"]]


def test_bad_lines_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"a": 1}\n{"a": \n[1]\n')
    with pytest.raises(InputError) as error:
        read_sheet(path)
    message = str(error.value)
    assert message.startswith(f"{path}: 2 problems\n  line 2 is not JSON: ")
    assert message.endswith('  line 3 is no object, such as {"file_name": "a.jpg"}. Correct or delete it.')


def test_parquet_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="make parquet installs it")
    from pyarrow import parquet

    day = datetime.date(2026, 5, 1)
    columns = {"id": ["a", "b"], "labels": [["sea"], None], "day": [day, None], "image": [b"\xff", b"\xd8"]}
    path = tmp_path / "s.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    sheet = read_sheet(path)
    assert (sheet.columns, sheet.rows) == (["id", "labels", "day"], [["a", '["sea"]', day], ["b", "", ""]])
    assert sheet.notes == (f"{path}: the columns image are left out, since they hold no cells",)


def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="make parquet installs it")
    (tmp_path / "s.parquet").write_bytes(b"id,labels")
    with pytest.raises(InputError, match="not a Parquet file: "):
        read_sheet(tmp_path / "s.parquet")


def test_values_of_parquet_become_what_a_sheet_can_hold(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="make parquet installs it")
    from pyarrow import parquet

    moment, zoned = datetime.datetime(2026, 5, 1, 12, 30), datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
    columns = {
        "price": pyarrow.array([Decimal("1.50")]),
        "made": pyarrow.array([moment], pyarrow.timestamp("ns")),
        "sent": pyarrow.array([zoned], pyarrow.timestamp("us", "UTC")),
        "took": pyarrow.array([datetime.timedelta(minutes=2)], pyarrow.duration("ns")),
        "age": pyarrow.array([float("nan")]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "s.parquet")
    sheet = read_sheet(tmp_path / "s.parquet")
    assert sheet.rows == [["1.50", moment, "2026-05-01 00:00:00+00:00", datetime.timedelta(minutes=2), ""]]
    write_sheet(sheet.columns, sheet.rows, tmp_path / "s.xlsx", "xlsx")
