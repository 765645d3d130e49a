import json
from pathlib import Path

import numpy as np
import pytest

from counterweight.base import manifest
from counterweight.base.outputs import write_array
from tests.conftest import IMPUTE, TINY, run_stage
from tests.workspace import write_params

SPLITS = ["train"] * 44 + ["val", "test"]


def impute(folder: Path, targets: np.ndarray, labels: list[str], **changes: object) -> str:
    """Run the stage on 44 train images, whose only feature is the first label, and one row each of val and test."""
    ids = [f"{i:02d}" for i in range(46)]
    manifest.write(manifest.build(ids, ids, SPLITS, labels, targets, ids), folder / "data/resized.csv")
    write_array(np.repeat([[0.0], [1.0], [0.0], [1.0]], [20, 20, 2, 2], axis=0), folder / "features/features.npy")
    write_params(folder / "params.yaml", TINY | {"data.missing": "self_train"} | changes)
    return run_stage(folder, "impute", *IMPUTE).stderr


@pytest.fixture
def sea() -> np.ndarray:
    """Targets of 20 rows without the label, 20 with it, and 6 (4 of train, one each of val and test) missing it."""
    return np.repeat(np.array([[0], [1], [-1]], np.int8), [20, 20, 6], axis=0)


def test_a_table_without_missing_cells_is_not_changed(filled: Path) -> None:
    assert (filled / "features/labeled.csv").read_bytes() == (filled / "data/resized.csv").read_bytes()
    assert (filled / "features/imputed.csv").read_text() == "image_id,label,probability,value\n"
    assert json.loads((filled / "features/impute.json").read_text()) == {"filled": 0, "labels": {}}


def test_only_missing_cells_of_train_are_imputed(sea: np.ndarray, tmp_path: Path) -> None:
    log = impute(tmp_path, sea, ["sea"])
    table = manifest.read(tmp_path / "features/labeled.csv")
    assert manifest.targets(table)[40:, 0].tolist() == [0, 0, 1, 1, -1, -1]
    assert manifest.targets(table)[:40].tolist() == sea[:40].tolist()
    assert "impute: 4 missing label cells of train imputed, 0 left missing, in " in log


def test_each_imputed_cell_is_listed_and_counted(sea: np.ndarray, tmp_path: Path) -> None:
    impute(tmp_path, sea, ["sea"])
    header, *lines = (tmp_path / "features/imputed.csv").read_text().splitlines()
    assert header == "image_id,label,probability,value"
    assert [(line.split(",")[0], line.split(",")[-1]) for line in lines] == [
        ("40", "0"), ("41", "0"), ("42", "1"), ("43", "1"),
    ]  # fmt: skip
    assert json.loads((tmp_path / "features/impute.json").read_text()) == {
        "filled": 4,
        "auc": 1.0,
        "average_precision": 1.0,
        "labels": {"sea": {"filled": 4, "auc": 1.0, "average_precision": 1.0}},
    }


def test_masked_cells_stay_missing(sea: np.ndarray, tmp_path: Path) -> None:
    log = impute(tmp_path, sea, ["sea"], **{"data.missing": "mask"})
    assert (tmp_path / "features/labeled.csv").read_bytes() == (tmp_path / "data/resized.csv").read_bytes()
    assert "impute: 0 missing label cells of train imputed, 4 left missing, in " in log


def test_a_label_that_cannot_be_learned_is_left_missing_and_warned_of(sea: np.ndarray, tmp_path: Path) -> None:
    sky = np.where(sea == 1, 0, sea)
    log = impute(tmp_path, np.hstack([sea, sky]), ["sea", "sky"])
    assert manifest.targets(manifest.read(tmp_path / "features/labeled.csv"))[40:44].tolist() == [
        [0, -1], [0, -1], [1, -1], [1, -1],
    ]  # fmt: skip
    assert "impute: label 'sky': too few known images with or without it to train a classifier" in log


def test_rows_with_one_class_stay_one_hot(sea: np.ndarray, tmp_path: Path) -> None:
    targets = np.hstack([np.where(sea == -1, -1, 1 - sea), sea])
    changes = {"data.task": "binary", "train.loss": "cross_entropy"}
    impute(tmp_path, targets, ["not sea", "sea"], **changes)
    table = manifest.read(tmp_path / "features/labeled.csv")
    assert manifest.targets(table)[40:44].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_the_same_inputs_give_the_same_bytes(sea: np.ndarray, tmp_path: Path) -> None:
    impute(tmp_path, sea, ["sea"])
    before = [path.read_bytes() for path in sorted((tmp_path / "features").iterdir())]
    run_stage(tmp_path, "impute", *IMPUTE)
    assert [path.read_bytes() for path in sorted((tmp_path / "features").iterdir())] == before
