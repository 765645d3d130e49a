import shutil
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

from counterweight.base import manifest
from tests.conftest import SHEET, TINY, run_stage
from tests.workspace import write_params


def cells(path: Path) -> list[tuple[object, ...]]:
    return list(openpyxl.load_workbook(path).active.iter_rows(values_only=True))


def test_the_test_rows_are_those_of_the_input(balanced: Path) -> None:
    original = [row for row in cells(balanced / "labels.xlsx") if row[1] == "test"]
    returned = [row for row in cells(balanced / "augmented/balanced.xlsx") if row[1] == "test"]
    assert len(original) == 20
    assert returned == [(*row, None, None) for row in original]


def test_the_users_rows_come_first_and_those_moved_to_validation_say_val(balanced: Path) -> None:
    original = cells(balanced / "labels.xlsx")
    returned = cells(balanced / "augmented/balanced.xlsx")[: len(original)]
    split_of = manifest.read(balanced / "data/manifest.csv").set_index("image_id")["split"]
    assert returned[0] == (*original[0], "source_id", "cluster")
    for before, after in zip(original[1:], returned[1:], strict=True):
        assert after[:4] == (before[0], split_of[before[0]], before[2], before[3])


def test_a_copy_inherits_every_cell_of_its_source_but_the_id(balanced: Path) -> None:
    rows = cells(balanced / "augmented/balanced.xlsx")[1:]
    by_id = {row[0]: row for row in rows}
    copies = [row for row in rows if row[4]]
    assert len(copies) > 0
    for image, split, target, note, source, cluster in copies:
        assert image.startswith(source.removesuffix(".jpg") + "__copy")
        assert (split, target, note, cluster) == ("train", *by_id[source][2:4], by_id[source][5])
        assert (balanced / "augmented/images" / image).is_file()


def test_text_that_looks_like_a_formula_stays_text(balanced: Path) -> None:
    sheet = openpyxl.load_workbook(balanced / "augmented/balanced.xlsx").active
    assert {cell.data_type for cell in sheet["D"]} == {"s"}
    assert sheet["D2"].value == "=note 0"


def test_the_same_table_gives_the_same_bytes(balanced: Path, tmp_path: Path) -> None:
    run_stage(balanced, "sheet", *SHEET[:-1], str(tmp_path / "again.xlsx"))
    assert (tmp_path / "again.xlsx").read_bytes() == (balanced / "augmented/balanced.xlsx").read_bytes()


def test_csv_holds_the_same_rows(balanced: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"sheet.format": "csv"})
    run_stage(balanced, "sheet", *SHEET[:-1], str(tmp_path / "b.csv"), "--params", str(tmp_path / "params.yaml"))
    lines = (tmp_path / "b.csv").read_text().splitlines()
    assert len(lines) == len(cells(balanced / "augmented/balanced.xlsx"))
    assert lines[0] == "id,split,target,note,source_id,cluster"


def sheet(folder: Path, source: str, table: pd.DataFrame, **changes: object) -> list[list[str]]:
    """Run the stage on another sheet than that of the tiny data, and return the cells of the balanced one."""
    manifest.write(table, folder / "augmented/manifest.csv")
    write_params(folder / "params.yaml", TINY | {"sheet.format": "csv"} | changes)
    run_stage(folder, "sheet", "--sheet", source, *SHEET[2:-1], "augmented/balanced.csv")
    return [line.split(",") for line in (folder / "augmented/balanced.csv").read_text().splitlines()]


def table_of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """A manifest of image ids, splits and the sources of copies."""
    ids, splits, sources = zip(*rows, strict=True)
    clusters = [0 if split == "train" else pd.NA for split in splits]
    return manifest.build(ids, ids, splits, ["cat"], np.ones((len(ids), 1)), ids, sources, clusters)


def test_class_folders_get_a_sheet(tmp_path: Path) -> None:
    for name in ("cat/a.png", "cat/b.png", "dog/c.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    table = table_of(
        ("cat/a.png", "train", ""), ("cat/a__copy1.png", "train", "cat/a.png"), ("cat/b.png", "val", ""),
        ("dog/c.png", "test", ""),
    )  # fmt: skip
    assert sheet(tmp_path, "images", table) == [
        ["id", "target", "split", "source_id", "cluster"],
        ["cat/a.png", "cat", "train", "", "0"],
        ["cat/b.png", "cat", "val", "", ""],
        ["dog/c.png", "dog", "test", "", ""],
        ["cat/a__copy1.png", "cat", "train", "cat/a.png", "0"],
    ]


def test_rows_in_the_order_of_an_array_get_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("split,target\ntrain,cat\ntest,dog\n")
    table = table_of(("0", "train", ""), ("0__copy1", "train", "0"), ("1", "test", ""))
    assert sheet(tmp_path, "s.csv", table, **{"data.columns.image": None, "data.images": "x.npy"}) == [
        ["split", "target", "image_id", "source_id", "cluster"],
        ["train", "cat", "0", "", "0"],
        ["test", "dog", "1", "", ""],
        ["train", "cat", "0__copy1", "0", "0"],
    ]


def test_dropped_rows_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,split,target\na,train,cat\nb,train,cat\nc,test,dog\n")
    table = table_of(("a", "train", ""), ("c", "test", ""))
    assert sheet(tmp_path, "s.csv", table) == [
        ["id", "split", "target", "source_id", "cluster"],
        ["a", "train", "cat", "", "0"],
        ["c", "test", "dog", "", ""],
    ]


def test_what_the_new_sheet_does_not_show_is_said_and_whole_numbers_stay_whole(augmented: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(augmented, folder)
    book = openpyxl.load_workbook(folder / "labels.xlsx")
    assert book.active is not None
    for row in range(1, book.active.max_row + 1):
        book.active.cell(row, 5, "taken" if row == 1 else 7)
        book.active.cell(row, 6, "share" if row == 1 else 0.5).number_format = "0%"
    book.save(folder / "labels.xlsx")
    log = run_stage(folder, "sheet", *SHEET).stderr
    assert "augmented/balanced.xlsx has the values of cells alone, not what labels.xlsx shows: 0%" in log
    sheet = openpyxl.load_workbook(folder / "augmented/balanced.xlsx").active
    assert sheet is not None
    assert {(type(row[4]), row[4], row[5]) for row in sheet.iter_rows(2, values_only=True)} == {(int, 7, 0.5)}
