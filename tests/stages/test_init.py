import shutil
from pathlib import Path

import numpy as np
import pytest

from counterweight.base.params import load_params
from counterweight.images import codec
from tests.conftest import INGEST, make_tiny_data, run_stage
from tests.workspace import PROJECT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The params.yaml of a fresh clone, and images with a sheet."""
    make_tiny_data(tmp_path)
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    return tmp_path


def test_params_point_at_the_data_and_ingest_accepts_them(folder: Path) -> None:
    result = run_stage(folder, "init", "--images", "images", "--sheet", "labels.xlsx")
    assert "multilabel, names in the column target" in result.stdout
    assert "data.images: data/example/images -> images" in result.stdout
    assert "Next: dvc repro" in result.stderr
    text = (folder / "params.yaml").read_text()
    assert "images: images # your folder, anywhere" in text
    assert load_params(folder / "params.yaml").data.columns.labels == "target"
    assert "80 images" in run_stage(folder, "ingest", *INGEST).stderr


def test_dry_run_changes_nothing(folder: Path) -> None:
    before = (folder / "params.yaml").read_bytes()
    result = run_stage(folder, "init", "--images", "images", "--sheet", "labels.xlsx", "--dry-run")
    assert "data.sheet: data/example/labels.xlsx -> labels.xlsx" in result.stdout
    assert "would change" in result.stderr
    assert (folder / "params.yaml").read_bytes() == before


def test_params_of_other_data_are_changed_only_with_force(folder: Path) -> None:
    run_stage(folder, "init", "--images", "images", "--sheet", "labels.xlsx")
    (folder / "images").rename(folder / "photos")
    options = ("init", "--images", "photos", "--sheet", "labels.xlsx")
    refused = run_stage(folder, *options, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "init: params.yaml: data.images is already images. Give --force to change it.\n"
    run_stage(folder, *options, "--force")
    assert load_params(folder / "params.yaml").data.images == "photos"


def test_class_folders_need_no_sheet(folder: Path) -> None:
    for i in range(30):
        name = ("cat", "dog", "cow")[i % 3]
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        codec.write(np.full((40, 48, 3), 8 * i, np.uint8), folder / "photos" / name / f"{i}.png", "png")
    result = run_stage(folder, "init", "--images", "photos")
    assert "3, multiclass, names in the column class: cat 10, cow 10, dog 10" in result.stdout
    params = load_params(folder / "params.yaml")
    assert (params.data.task, params.resize.width, params.resize.height) == ("multiclass", 48, 40)
    assert (params.train.loss, params.train.optimizer, params.augment.strategy) == ("cross_entropy", "lbfgs", "classes")


def test_array_with_labels_in_order(folder: Path) -> None:
    np.save(folder / "scans.npy", np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8))
    (folder / "labels.csv").write_text("ill\n" + "\n".join("1" if i % 4 == 0 else "0" for i in range(40)) + "\n")
    run_stage(folder, "init", "--images", "scans.npy", "--sheet", "labels.csv")
    data = load_params(folder / "params.yaml").data
    assert (data.columns.image, data.columns.labels, data.task) == (None, ["ill"], "binary")
    options = ["--images", "scans.npy", "--sheet", "labels.csv", *INGEST[4:]]
    assert "40 images" in run_stage(folder, "ingest", *options).stderr
