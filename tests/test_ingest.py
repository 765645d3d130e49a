import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from stages.core import manifest
from stages.core.workbook import read_sheet, write_sheet
from tests.conftest import INGEST, TINY, make_tiny_data, run_stage
from tests.workspace import write_params


def test_every_row_of_the_sheet_is_a_row_of_the_table(ingested: Path) -> None:
    table = manifest.read(ingested / "data/manifest.csv")
    assert table["image_id"].tolist() == [f"{i:04d}.jpg" for i in range(1, 81)]


def test_validation_is_carved_from_train_and_test_stays_as_given(ingested: Path) -> None:
    table = manifest.read(ingested / "data/manifest.csv")
    sheet = read_sheet(ingested / "labels.xlsx")
    given = {row[0]: row[1] for row in sheet.rows}
    assert set(table["split"]) == {"train", "val", "test"}
    assert [given[image] for image in table["image_id"][table["split"] == "test"]] == ["test"] * 20
    assert [given[image] for image in table["image_id"][table["split"] == "val"]] == ["train"] * sum(
        table["split"] == "val"
    )


def test_labels_are_counted_a_split(ingested: Path) -> None:
    table = manifest.read(ingested / "data/manifest.csv")
    labels = pd.read_csv(ingested / "data/labels.csv", dtype={"label": "str"}).set_index("label")
    assert labels["test_count"]["0"] == manifest.of_split(table, "test")["label:0"].sum()
    metrics = json.loads((ingested / "data/ingest.json").read_text())
    assert metrics["test"]["images"] == 20
    assert metrics["train"]["mean_ir"] == pytest.approx(labels["train_irlbl"].replace(float("inf"), None).mean())


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A folder with one of everything that a sheet may get wrong."""
    make_tiny_data(tmp_path, train=12, test=4)
    write_params(tmp_path / "params.yaml", TINY | {"data.labels": [str(digit) for digit in range(10)]})
    sheet = read_sheet(tmp_path / "labels.xlsx")
    rows = [list(row) for row in sheet.rows]
    rows[0][1] = "tset"
    rows[1][2] = "3,seven"
    rows[2][0] = "nowhere.jpg"
    rows[4][0] = rows[3][0]
    write_sheet(sheet.columns, rows, tmp_path / "labels.xlsx", "xlsx")
    (tmp_path / "images/0008.jpg").write_bytes(b"<html>not found</html>")
    return tmp_path


def test_all_bad_rows_are_reported_together_without_a_traceback(faulty: Path) -> None:
    result = run_stage(faulty, "ingest", *INGEST, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "labels.xlsx: 5 problems" in result.stderr
    assert "row 2: split 'tset' is none of train, val, test. Correct the cell." in result.stderr
    assert (
        "row 3: label 'seven' is none of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. Correct it, or add it to data.labels."
        in result.stderr
    )
    assert "row 4: image 'nowhere.jpg' is not in images. Add the file or delete the row." in result.stderr
    assert "row 6: image '0004.jpg' stands in row 5 already. Delete one of the rows." in result.stderr
    assert "row 9: images/0008.jpg is not an image" in result.stderr
    assert not (faulty / "data").exists()


def test_files_without_a_row_are_listed(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=12, test=4)
    write_params(tmp_path / "params.yaml", TINY)
    (tmp_path / "images/new").mkdir()
    shutil.copy(tmp_path / "images/0001.jpg", tmp_path / "images/new/b.jpg")
    result = run_stage(tmp_path, "ingest", *INGEST)
    assert (tmp_path / "data/unlisted.csv").read_text() == "path\nnew/b.jpg\n"
    assert "ingest: 1 files without a row are left out, listed in data/unlisted.csv" in result.stderr


def test_a_sheet_without_a_split_column_gets_test_and_validation(tmp_path: Path) -> None:
    make_tiny_data(tmp_path)
    write_params(tmp_path / "params.yaml", TINY | {"data.columns.split": None, "data.test": 0.25})
    run_stage(tmp_path, "ingest", *INGEST)
    sizes = manifest.read(tmp_path / "data/manifest.csv")["split"].value_counts()
    assert abs(sizes["test"] - 20) <= 2
    assert abs(sizes["val"] - 12) <= 2


def test_wrong_params_are_reported_before_any_image_is_opened(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"cluster.clusters": 1, "train.loss": "hinge"})
    result = run_stage(tmp_path, "ingest", *INGEST, check=False)
    assert result.returncode == 1
    assert "params.yaml: 2 problems" in result.stderr
    assert "cluster.clusters" in result.stderr
    assert "train.loss" in result.stderr
