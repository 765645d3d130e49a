import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.images.codec import FORMATS, read, write
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet
from tests.conftest import INGEST, TINY, make_tiny_data, run_stage
from tests.workspace import write_params


def test_every_row_of_the_sheet_is_a_row_of_the_table(ingested: Path) -> None:
    table = manifest.read(ingested / "data/manifest.csv")
    assert table["image_id"].tolist() == [f"{i:04d}.jpg" for i in range(1, 81)]


def test_validation_is_drawn_from_train_and_test_rows_stay(ingested: Path) -> None:
    table = manifest.read(ingested / "data/manifest.csv")
    sheet = read_sheet(ingested / "labels.xlsx")
    sheet_split = {row[0]: row[1] for row in sheet.rows}
    assert set(table["split"]) == {"train", "val", "test"}
    assert [sheet_split[image] for image in table["image_id"][table["split"] == "test"]] == ["test"] * 20
    assert [sheet_split[image] for image in table["image_id"][table["split"] == "val"]] == ["train"] * sum(
        table["split"] == "val"
    )


def test_labels_are_counted_per_split(ingested: Path) -> None:
    table = manifest.read(ingested / "data/manifest.csv")
    labels = pd.read_csv(ingested / "data/labels.csv", dtype={"label": "str"}).set_index("label")
    assert labels["test_count"]["0"] == manifest.rows_of_split(table, "test")["label:0"].sum()
    metrics = json.loads((ingested / "data/ingest.json").read_text())
    assert metrics["test"]["images"] == 20
    assert metrics["train"]["mean_ir"] == pytest.approx(labels["train_irlbl"].replace(float("inf"), None).mean())


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A folder whose sheet has one error of each kind."""
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
    assert "row 2: split 'tset' is not one of train, val, test. Correct the cell." in result.stderr
    assert (
        "row 3: label 'seven' is not one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. Correct it, or add it to data.labels"
        in result.stderr
    )
    assert "row 4: image 'nowhere.jpg' is not in images. Add the file or delete the row, or set" in result.stderr
    assert "row 6: image '0004.jpg' is already in row 5. Delete one of the rows, or set" in result.stderr
    assert "row 9: images/0008.jpg is not an image" in result.stderr
    assert not (faulty / "data").exists()


def test_files_without_a_row_are_listed(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=12, test=4)
    write_params(tmp_path / "params.yaml", TINY)
    (tmp_path / "images/new").mkdir()
    shutil.copy(tmp_path / "images/0001.jpg", tmp_path / "images/new/b.jpg")
    result = run_stage(tmp_path, "ingest", *INGEST)
    assert (tmp_path / "data/unlisted.csv").read_text() == "path,reason\nnew/b.jpg,no row names it\n"
    assert "ingest: 1 images without a row are left out, listed in data/unlisted.csv" in result.stderr


def test_the_forecast_is_logged_and_changes_no_output(ingested: Path, tmp_path: Path) -> None:
    make_tiny_data(tmp_path)
    write_params(tmp_path / "params.yaml", TINY | {"augment.strategy": "none", "resize.width": 8, "resize.height": 8})
    log = run_stage(tmp_path, "ingest", *INGEST).stderr
    assert "ingest: next: 80 images to resize, 0 copies to make\n" in log
    assert "ingest: disk: at most 4.1 kB of resized images, at most 0 bytes of copies, " in log
    for output in ("manifest.csv", "labels.csv", "unlisted.csv", "dropped.csv", "duplicates.csv", "ingest.json"):
        assert (tmp_path / "data" / output).read_bytes() == (ingested / "data" / output).read_bytes()


def test_a_sheet_without_a_split_column_gets_test_and_validation(tmp_path: Path) -> None:
    make_tiny_data(tmp_path)
    write_params(tmp_path / "params.yaml", TINY | {"data.columns.split": None, "data.test": 0.25})
    run_stage(tmp_path, "ingest", *INGEST)
    sizes = manifest.read(tmp_path / "data/manifest.csv")["split"].value_counts()
    assert abs(sizes["test"] - 20) <= 2
    assert abs(sizes["val"] - 12) <= 2


def test_images_keep_the_splits_that_they_were_dealt_when_others_come_go_and_are_renamed(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=60, test=20)
    write_params(tmp_path / "params.yaml", TINY | {"data.columns.split": None, "data.missing_files": "drop"})
    images, more = sorted((tmp_path / "images").iterdir()), tmp_path / "more"
    more.mkdir()
    for image in images[::9]:
        image.rename(more / image.name)
    run_stage(tmp_path, "ingest", *INGEST)
    before = manifest.read(tmp_path / "data/manifest.csv").set_index("image_id")["split"]
    for image in more.iterdir():
        image.rename(tmp_path / "images" / image.name)
    images[1].unlink()
    images[2].rename(images[2].with_name("renamed.jpg"))
    sheet = read_sheet(tmp_path / "labels.xlsx")
    rows = [["renamed.jpg" if row[0] == images[2].name else row[0], *row[1:]] for row in sheet.rows]
    write_sheet(sheet.columns, rows, tmp_path / "labels.xlsx", "xlsx")
    run_stage(tmp_path, "ingest", *INGEST)
    after = manifest.read(tmp_path / "data/manifest.csv").set_index("image_id")["split"]
    assert after["renamed.jpg"] == before[images[2].name]
    kept = before.drop([images[1].name, images[2].name])
    assert after[kept.index].tolist() == kept.tolist()
    assert len(after) == 79
    assert abs((after == "test").sum() - 0.2 * 79) <= 1


def test_images_of_a_patient_stay_together_and_folds_and_leaks_know_them(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=60, test=20)
    sheet = read_sheet(tmp_path / "labels.xlsx")
    rows = [[*row, f"patient {i % 16}"] for i, row in enumerate(sheet.rows)]
    write_sheet([*sheet.columns, "patient"], rows, tmp_path / "labels.xlsx", "xlsx")
    write_params(tmp_path / "params.yaml", TINY | {"data.columns.group": "patient"})
    log = run_stage(tmp_path, "ingest", *INGEST).stderr
    assert "share a group with a later split" in log
    write_params(tmp_path / "params.yaml", TINY | {"data.columns.group": "patient", "data.columns.split": None})
    log = run_stage(tmp_path, "ingest", *INGEST).stderr
    assert "share a group" not in log
    split = manifest.read(tmp_path / "data/manifest.csv").set_index("image_id")["split"]
    by_patient = pd.Series([split[str(row[0])] for row in rows]).groupby([row[-1] for row in rows]).nunique()
    assert by_patient.tolist() == [1] * 16
    listed = pd.read_csv(tmp_path / "data/duplicates.csv")
    assert (listed["kind"].value_counts().to_dict(), listed["tied"].nunique()) == ({"group": 80}, 16)


def test_rows_without_a_file_may_be_dropped(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=12, test=4)
    write_params(tmp_path / "params.yaml", TINY | {"data.missing_files": "drop"})
    (tmp_path / "images/0003.jpg").unlink()
    (tmp_path / "images/0016.jpg").unlink()
    result = run_stage(tmp_path, "ingest", *INGEST)
    assert (tmp_path / "data/dropped.csv").read_text() == (
        "row,image_id,reason\n4,0003.jpg,there is no such image\n17,0016.jpg,there is no such image\n"
    )
    ids = manifest.read(tmp_path / "data/manifest.csv")["image_id"].tolist()
    assert ids == [f"{i:04d}.jpg" for i in range(1, 16) if i != 3]
    assert json.loads((tmp_path / "data/ingest.json").read_text())["dropped_rows"] == 2
    assert "ingest: 2 rows are dropped, listed with the reason in data/dropped.csv" in result.stderr


def test_rows_with_an_unreadable_image_may_be_dropped(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=12, test=4)
    (tmp_path / "images/0003.jpg").write_bytes(b"")
    (tmp_path / "images/0016.jpg").write_bytes((tmp_path / "images/0016.jpg").read_bytes()[:400])
    write_params(tmp_path / "params.yaml", TINY)
    result = run_stage(tmp_path, "ingest", *INGEST, check=False)
    assert result.returncode == 1
    assert "ingest: labels.xlsx: 2 problems" in result.stderr
    assert "Replace the file or delete the row, or set data.bad_images to drop." in result.stderr
    write_params(tmp_path / "params.yaml", TINY | {"data.bad_images": "drop"})
    run_stage(tmp_path, "ingest", *INGEST)
    dropped = pd.read_csv(tmp_path / "data/dropped.csv")
    assert dropped["image_id"].tolist() == ["0003.jpg", "0016.jpg"]
    assert dropped["reason"][0] == f"images/0003.jpg is not an image ({', '.join(FORMATS)})"
    assert json.loads((tmp_path / "data/ingest.json").read_text())["bad_images"] == 2


def test_without_dropped_rows_the_list_has_only_a_header(ingested: Path) -> None:
    assert (ingested / "data/dropped.csv").read_text() == "row,image_id,reason\n"
    assert json.loads((ingested / "data/ingest.json").read_text())["dropped_rows"] == 0


def test_dropping_all_rows_is_an_error(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=12, test=4)
    write_params(tmp_path / "params.yaml", TINY | {"data.missing_files": "drop"})
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    result = run_stage(tmp_path, "ingest", *INGEST, check=False)
    assert result.returncode == 1
    assert "ingest: none of the 16 rows has a readable image in images, so all would be dropped." in result.stderr


@pytest.fixture
def repeated(tmp_path: Path) -> Path:
    """Image 1 of train again in test, smaller; image 2 twice in train, the second time with another label."""
    make_tiny_data(tmp_path, train=12, test=4)
    sheet = read_sheet(tmp_path / "labels.xlsx")
    rows = [list(row) for row in sheet.rows]
    again = cv2.resize(read(tmp_path / "images/0001.jpg"), (48, 48), interpolation=cv2.INTER_AREA)
    write(np.asarray(again, np.uint8), tmp_path / "images/a.png", "png")
    shutil.copy(tmp_path / "images/0002.jpg", tmp_path / "images/b.jpg")
    rows.append(["a.png", "test", rows[0][2], ""])
    rows.append(["b.jpg", "train", "9" if rows[1][2] != "9" else "8", ""])
    write_sheet(sheet.columns, rows, tmp_path / "labels.xlsx", "xlsx")
    return tmp_path


def give_validation_rows(folder: Path) -> None:
    sheet = read_sheet(folder / "labels.xlsx")
    write_sheet(
        sheet.columns,
        [[row[0], "val" if row[0] in {"0005.jpg", "0006.jpg"} else row[1], *row[2:]] for row in sheet.rows],
        folder / "labels.xlsx",
        "xlsx",
    )


def test_duplicates_leaks_and_label_conflicts_are_listed_counted_and_warned_of(repeated: Path) -> None:
    write_params(repeated / "params.yaml", TINY)
    give_validation_rows(repeated)
    result = run_stage(repeated, "ingest", *INGEST)
    table = pd.read_csv(repeated / "data/duplicates.csv", keep_default_na=False)
    assert table[
        ["row", "image_id", "kind", "duplicate_of", "leak", "other_labels", "dropped"]
    ].to_numpy().tolist() == [
        [2, "0001.jpg", "near", "a.png", "a.png", "", 0],
        [18, "a.png", "near", "0001.jpg", "", "", 0],
        [3, "0002.jpg", "exact", "b.jpg", "", "b.jpg", 0],
        [19, "b.jpg", "exact", "0002.jpg", "", "0002.jpg", 0],
    ]
    assert json.loads((repeated / "data/ingest.json").read_text())["duplicates"] == {
        "groups": 2, "exact": 2, "near": 2, "mirror": 0,
        "leaks": 1, "mirror_leaks": 0, "group_leaks": 0, "other_labels": 2, "dropped": 0,
    }  # fmt: skip
    assert "ingest: leak: 1 images of train or val also appear in a later split, '0001.jpg' of" in result.stderr
    assert (
        "ingest: 2 images have other labels than one that is the same or nearly the same picture, '0002.jpg' and "
        "'b.jpg'" in result.stderr
    )


@pytest.mark.slow
def test_duplicates_stay_together_when_validation_is_drawn(repeated: Path) -> None:
    for seed in range(8):
        write_params(repeated / "params.yaml", TINY | {"data.seed": seed, "data.validation": 0.4})
        run_stage(repeated, "ingest", *INGEST)
        split_of = manifest.read(repeated / "data/manifest.csv").set_index("image_id")["split"]
        assert split_of["0002.jpg"] == split_of["b.jpg"]


def test_duplicates_may_be_dropped_except_in_test(repeated: Path) -> None:
    write_params(repeated / "params.yaml", TINY | {"data.duplicates": "drop"})
    result = run_stage(repeated, "ingest", *INGEST)
    ids = manifest.read(repeated / "data/manifest.csv")["image_id"].tolist()
    assert ids == [f"{i:04d}.jpg" for i in range(2, 17)] + ["a.png"]
    assert (repeated / "data/dropped.csv").read_text() == (
        "row,image_id,reason\n2,0001.jpg,is the same picture as 'a.png'\n19,b.jpg,is the same picture as '0002.jpg'\n"
    )
    metrics = json.loads((repeated / "data/ingest.json").read_text())
    assert (metrics["duplicates"]["dropped"], metrics["dropped_rows"]) == (2, 2)
    assert "leak" not in result.stderr


def test_duplicates_cannot_be_dropped_if_all_images_are_equal(tmp_path: Path) -> None:
    make_tiny_data(tmp_path, train=6, test=2)
    for i in range(2, 9):
        shutil.copy(tmp_path / "images/0001.jpg", tmp_path / f"images/{i:04d}.jpg")
    write_params(tmp_path / "params.yaml", TINY)
    run_stage(tmp_path, "ingest", *INGEST)
    assert set(manifest.read(tmp_path / "data/manifest.csv")["split"]) == {"train", "val", "test"}
    write_params(tmp_path / "params.yaml", TINY | {"data.duplicates": "drop"})
    result = run_stage(tmp_path, "ingest", *INGEST, check=False)
    assert "all images of train are duplicates of others, and none is left." in result.stderr
    assert "Traceback" not in result.stderr


def draw(path: Path, gray: int) -> None:
    write(np.full((8, 8, 3), gray, np.uint8), path, "png")


def ingest(folder: Path, sheet: str, images: str = "images", **changes: object) -> str:
    """Run the stage on another sheet than that of the tiny data, and return its log."""
    options = {"--sheet": sheet, "--images": images}
    write_params(folder / "params.yaml", TINY | {"data.sheet": sheet, "data.images": images} | changes)
    paired = zip(INGEST[::2], INGEST[1::2], strict=True)
    return run_stage(
        folder, "ingest", *(word for name, path in paired for word in (name, options.get(name, path)))
    ).stderr


ONE_CLASS = {"data.task": "binary", "train.loss": "cross_entropy"}


def test_class_folders_may_replace_the_sheet(tmp_path: Path) -> None:
    for i, name in enumerate(["train/cat/a", "train/cat/deep/b", "train/dog/c", "val/dog/d", "test/cat/e"]):
        draw(tmp_path / f"images/{name}.png", i)
    ingest(tmp_path, "images", **ONE_CLASS)
    table = manifest.read(tmp_path / "data/manifest.csv")
    assert table[["image_id", "split", "label:cat", "label:dog"]].to_numpy().tolist() == [
        ["test/cat/e.png", "test", 1, 0],
        ["train/cat/a.png", "train", 1, 0],
        ["train/cat/deep/b.png", "train", 1, 0],
        ["train/dog/c.png", "train", 0, 1],
        ["val/dog/d.png", "val", 0, 1],
    ]


def test_class_folders_without_splits_are_split_by_class(tmp_path: Path) -> None:
    for i in range(40):
        draw(tmp_path / f"images/{'cat' if i < 30 else 'dog'}/{i:02d}.png", i)
    ingest(tmp_path, "images", **ONE_CLASS, **{"data.test": 0.2, "data.validation": 0.25})
    table = manifest.read(tmp_path / "data/manifest.csv")
    counts = table.groupby("split")[["label:cat", "label:dog"]].sum()
    assert counts.to_dict("index") == {
        "train": {"label:cat": 18, "label:dog": 6},
        "val": {"label:cat": 6, "label:dog": 2},
        "test": {"label:cat": 6, "label:dog": 2},
    }


def test_an_array_may_replace_the_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).repeat(64).reshape(12, 8, 8))
    (tmp_path / "s.csv").write_text("split,target\n" + "train,1\n" * 8 + "test,2\n" * 4)
    ingest(tmp_path, "s.csv", "x.npy", **{"data.columns.image": None})
    table = manifest.read(tmp_path / "data/manifest.csv")
    numbers = [f"{i:02d}" for i in range(12)]
    assert (table["image_id"].tolist(), table["path"].tolist()) == (numbers, numbers)
    assert table["checksum"].nunique() == 12


def test_an_id_may_be_the_number_of_an_image_in_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).repeat(64).reshape(12, 8, 8))
    (tmp_path / "s.csv").write_text("id,split,target\n11,train,1\n7,train,2\n0,test,1\n")
    ingest(tmp_path, "s.csv", "x.npy")
    table = manifest.read(tmp_path / "data/manifest.csv")
    assert dict(zip(table["image_id"], table["path"], strict=True)) == {"0": "00", "11": "11", "7": "07"}
    unlisted = pd.read_csv(tmp_path / "data/unlisted.csv", dtype="str")
    assert unlisted["path"].tolist() == "01 02 03 04 05 06 08 09 10".split()


@pytest.mark.parametrize(
    ("missing", "cells", "treatment"),
    [
        ("mask", [1, -1, 0, -1], "they are left out of loss and metrics"),
        ("self_train", [1, -1, 0, -1], "those of train are imputed by a classifier, the others left out of metrics"),
        ("negative", [1, 0, 0, 0], "they are read as 0"),
    ],
)
def test_missing_cells_are_counted_and_treated(missing: str, cells: list[int], treatment: str, tmp_path: Path) -> None:
    for i in range(4):
        draw(tmp_path / f"images/{i}.png", i)
    (tmp_path / "s.csv").write_text("id,split,cat,dog\n0,train,1,1\n1,train,NA,0\n2,val,0,0\n3,test,,1\n")
    log = ingest(tmp_path, "s.csv", **{"data.columns.labels": ["cat", "dog"], "data.missing": missing})
    assert manifest.targets(manifest.read(tmp_path / "data/manifest.csv"))[:, 0].tolist() == cells
    assert f"ingest: label cells are missing, 2 of 'cat': {treatment}\n" in log
    counted = pd.read_csv(tmp_path / "data/labels.csv")
    assert [name for name in counted.columns if name.endswith("_missing")] == (
        [] if missing == "negative" else ["train_missing", "val_missing", "test_missing"]
    )
    assert "ingest: 1 rows have no label; they count as images that show none\n" in log


def test_wrong_params_are_reported_before_any_image_is_opened(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"cluster.n_clusters": 1, "train.loss": "hinge"})
    result = run_stage(tmp_path, "ingest", *INGEST, check=False)
    assert result.returncode == 1
    assert "params.yaml: 2 problems" in result.stderr
    assert "cluster.n_clusters" in result.stderr
    assert "train.loss" in result.stderr
