import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics import decisions
from tests.conftest import EXPLAIN, TINY, run_stage
from tests.workspace import write_params

COLUMNS = [
    "picture", "image_id", "reason", "label", "labeled",
    "probability_nothing", "predicted_nothing", "probability_copies", "predicted_copies",
]  # fmt: skip


@pytest.fixture
def table(explained: Path) -> pd.DataFrame:
    return pd.read_csv(explained / "results/explanations.csv", dtype={"image_id": "str", "label": "str"})


def test_each_image_is_a_test_image_and_explained_once(explained: Path, table: pd.DataFrame) -> None:
    assert table.columns.tolist() == COLUMNS
    test = manifest.rows_of_split(manifest.read(explained / "augmented/arms/nothing.csv"), "test")
    assert table["image_id"].is_unique
    assert set(table["image_id"]) <= set(test["image_id"])
    assert table["reason"].value_counts().max() == 3
    assert {"surest errors", "at random"} <= set(table["reason"])


def test_probabilities_are_the_calibrated_scores_of_evaluate(explained: Path, table: pd.DataFrame) -> None:
    row, arm = table.iloc[0], explained / "results/arms/copies"
    scores = pd.read_csv(arm / "scores.csv", dtype={"image_id": "str"})
    first = scores[(scores["image_id"] == row["image_id"]) & (scores["seed"] == 0)].iloc[:, 3:].to_numpy()
    rule = decisions.read(arm / "models/seed-0")
    assert row["probability_copies"] == rule.probabilities(first)[0, rule.labels.index(row["label"])].round(4)


def test_there_is_a_picture_of_what_the_networks_see_and_one_per_arm(explained: Path, table: pd.DataFrame) -> None:
    folder = explained / "results/explanations"
    expected = {f"{number}{arm}.jpg" for number in table["picture"] for arm in ("", "-nothing", "-copies")}
    assert {file.name for file in folder.iterdir()} == expected
    assert codec.read(folder / "0-copies.jpg").shape == (32, 32, 3)


def test_how_much_lies_at_the_border_is_told_by_arm(explained: Path, table: pd.DataFrame) -> None:
    metrics = json.loads((explained / "results/explanations.json").read_text())
    assert (metrics["method"], metrics["explained"]) == ("gradcam", len(table))
    assert metrics["border_share"].keys() == {"nothing", "copies", "area"}


@pytest.mark.parametrize("method", ["occlusion", "lime"])
def test_other_methods_explain_the_same_images_and_the_same_bytes_come_again(
    method: str, explained: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(explained, folder)
    changes = {"explain.method": method, "explain.samples": 40, "explain.images_per_reason": 1}
    write_params(folder / "params.yaml", TINY | changes)
    pictures = []
    for workers in ("1", "2"):
        log = run_stage(folder, "explain", *EXPLAIN).stderr
        assert f"test images explained by {method}" in log, workers
        pictures.append({file.name: file.read_bytes() for file in (folder / "results/explanations").iterdir()})
    assert pictures[0] == pictures[1]
    before = (explained / "results/explanations/0-copies.jpg").read_bytes()
    assert pictures[0]["0-copies.jpg"] != before
    assert pictures[0]["0.jpg"] == (explained / "results/explanations/0.jpg").read_bytes()


def test_none_explains_no_image(explained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(explained, folder)
    write_params(folder / "params.yaml", TINY | {"explain.method": "none"})
    assert "explain: 0 test images explained by none" in run_stage(folder, "explain", *EXPLAIN).stderr
    assert list((folder / "results/explanations").iterdir()) == []
    assert (folder / "results/explanations.csv").read_text() == ",".join(COLUMNS) + "\n"
