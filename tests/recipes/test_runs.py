"""DVC runs recipes from the data to the comparison, on tiny data."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.onboarding.params_file import apply_overlay
from tests.recipes.tiny import make_data, tiny
from tests.workspace import PROJECT, make_workspace, run


def run_recipe(name: str, folder: Path, *targets: str, **changes: Any) -> Path:
    values = tiny(name) | changes
    make_data(folder, values["data.task"])
    make_workspace(folder, {})
    apply_overlay(folder / "params.yaml", values)
    run(folder, "dvc", "repro", *targets)
    return folder


def test_exam_fills_the_two_smallest_clusters(tmp_path: Path) -> None:
    project = run_recipe("exam", tmp_path, "evaluate@copies")
    before = json.loads((project / "features/cluster.json").read_text())["sizes"]
    after = json.loads((project / "augmented/augment.json").read_text())["sizes"]
    assert after == {"0": before["0"], "1": before["0"], "2": before["0"]}
    assert "threshold_0.2" in json.loads((project / "results/arms/copies/metrics.json").read_text())


@pytest.mark.slow
def test_streets_has_a_confusion_matrix_for_each_threshold(tmp_path: Path) -> None:
    project = run_recipe("streets", tmp_path)
    decisions = pd.read_csv(project / "results/arms/nothing/confusion.csv", dtype={"decision": str})["decision"]
    assert decisions.unique().tolist() == ["0.25", "0.5", "0.75", "tuned", "argmax"]


@pytest.mark.slow
def test_attributes_imputes_missing_cells_and_makes_plain_copies(tmp_path: Path) -> None:
    project = run_recipe("attributes", tmp_path)
    filled = pd.read_csv(project / "features/imputed.csv")
    assert len(filled) > 0
    table = manifest.read(project / "augmented/manifest.csv")
    checksum_of = table.set_index("image_id")["checksum"]
    copies = table[table["source_id"] != ""]
    assert len(copies) > 0
    assert copies["checksum"].tolist() == checksum_of[copies["source_id"]].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cnn2_dropout", "cnn1", "cnn0"])
def test_lungs_reports_each_class_and_predicts_labels_of_an_array(network: str, tmp_path: Path) -> None:
    values = tiny("lungs") | {"train.model": network}
    make_data(tmp_path, values["data.task"])
    make_workspace(tmp_path, {})
    apply_overlay(tmp_path / "params.yaml", values)
    run(tmp_path, "dvc", "repro", "evaluate@nothing")
    assert "macro avg" in (tmp_path / "results/arms/nothing/report.txt").read_text()
    options = ["--model", "results/arms/nothing/models/seed-0", "--images", "images.npy", "--out", "labels.xlsx"]
    run(tmp_path, "python", "-m", "stages.predict", *options, PYTHONPATH=str(PROJECT))
    labeled = pd.read_csv(tmp_path / "labels.csv")
    assert set(labeled["labels"]) <= {"a", "b", "c"}
    assert len(labeled) == len(manifest.read(tmp_path / "data/manifest.csv"))


@pytest.mark.slow
def test_pets_makes_both_classes_equal(tmp_path: Path) -> None:
    project = run_recipe("pets", tmp_path)
    train = manifest.rows_of_split(manifest.read(project / "augmented/manifest.csv"), "train")
    counts = manifest.targets(train).sum(axis=0).tolist()
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_single_label_fills_the_rare_classes_and_fits_the_head_to_the_end(tmp_path: Path) -> None:
    project = run_recipe("single_label", tmp_path)
    table = manifest.rows_of_split(manifest.read(project / "augmented/manifest.csv"), "train")
    assert len(set(manifest.targets(table).sum(axis=0).tolist())) == 1
    for arm in ("nothing", "weights", "copies", "copies+weights"):
        history = pd.read_csv(project / f"results/arms/{arm}/history.csv")
        assert history["penalty"].is_monotonic_decreasing
