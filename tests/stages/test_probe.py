import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.evidence.recommendation import remedy_table
from tests.conftest import PROBE, run_stage

OUTPUTS = [option for option in PROBE if option.startswith("results/")]


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    assert len(files) > len(OUTPUTS)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def copied(clustered: Path, tmp_path: Path) -> Path:
    """A clustered folder of its own."""
    return Path(shutil.copytree(clustered, tmp_path / "project"))


def test_each_remedy_is_compared_with_nothing_and_chance_stands_beside_them(probed: Path) -> None:
    table = pd.read_csv(probed / "results/remedies.csv").set_index("remedy")
    assert table.index[0] == "nothing"
    assert {"weights", "plain copies by labels", "copies by clusters, article", "every label"} <= set(table.index)
    assert table.loc["nothing", "macro_f1_difference"] == 0
    assert (table["macro_f1_low"] <= table["macro_f1_difference"]).all()
    assert (table["macro_f1_difference"] <= table["macro_f1_high"]).all()


def test_the_table_can_be_computed_again_from_the_folds(probed: Path) -> None:
    folds = pd.read_csv(probed / "results/remedy_folds.csv")
    table = pd.read_csv(probed / "results/remedies.csv")
    assert len(folds) == 3 * 2 * len(table)
    pd.testing.assert_frame_equal(remedy_table(folds, n_folds=3), table)


def test_the_summary_recommends_one_of_the_remedies(probed: Path) -> None:
    summary = json.loads((probed / "results/remedies.json").read_text(encoding="utf-8"))
    table = pd.read_csv(probed / "results/remedies.csv").set_index("remedy")
    assert summary["recommended_remedy"]["macro_f1"] == pytest.approx(
        table.loc[summary["recommended"], "macro_f1"], abs=1e-6
    )
    assert summary["settings"]["train.arms"][0] == "nothing"
    assert {"train.arms", "augment.strategy"} <= set(summary["settings"])


def test_the_learning_curve_has_three_points_per_label(probed: Path) -> None:
    curve = pd.read_csv(probed / "results/learning_curve.csv", dtype={"label": "str"})
    labels = manifest.label_names(manifest.read(probed / "features/clusters.csv"))
    assert curve.groupby("label")["fraction"].apply(list).to_dict() == {label: [0.3, 0.6, 1.0] for label in labels}


def test_the_bytes_are_the_same_for_any_number_of_workers(
    probed: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", "1")
    monkeypatch.setenv("COUNTERWEIGHT_CACHE", "no-cache")
    run_stage(copied, "probe", *PROBE)
    assert contents(copied) == contents(probed)


def test_no_test_or_validation_row_takes_part(probed: Path, copied: Path) -> None:
    """Other labels and no files for all images outside train change no byte."""
    table = manifest.read(copied / "features/clusters.csv")
    for split in ("val", "test"):
        other = 1 - manifest.targets(manifest.rows_of_split(table, split))
        table = manifest.with_targets(table, split, other)
        for path in table.loc[table["split"] == split, "path"]:
            (copied / "data/resized" / path).unlink()
    manifest.write(table, copied / "features/clusters.csv")
    run_stage(copied, "probe", *PROBE)
    assert contents(copied) == contents(probed)


@pytest.mark.slow
def test_labels_at_random_are_called_chance(copied: Path) -> None:
    table = manifest.read(copied / "features/clusters.csv")
    train = manifest.targets(manifest.rows_of_split(table, "train"))
    shuffled = np.random.default_rng(0).permutation(train)
    manifest.write(manifest.with_targets(table, "train", shuffled), copied / "features/clusters.csv")
    result = run_stage(copied, "probe", *PROBE)
    assert "probe: Not clearly better than chance: " in result.stderr
    assert json.loads((copied / "results/remedies.json").read_text(encoding="utf-8"))["no_signal"]


def test_copies_are_made_in_a_scratch_folder_that_is_removed(probed: Path) -> None:
    assert sorted(path.name for path in (probed / "results").iterdir()) == sorted(Path(name).name for name in OUTPUTS)


@pytest.mark.slow
def test_images_without_any_label_are_called_chance(copied: Path) -> None:
    table = manifest.read(copied / "features/clusters.csv")
    nothing = np.zeros_like(manifest.targets(manifest.rows_of_split(table, "train")))
    manifest.write(manifest.with_targets(table, "train", nothing), copied / "features/clusters.csv")
    result = run_stage(copied, "probe", *PROBE)
    summary = json.loads((copied / "results/remedies.json").read_text(encoding="utf-8"))
    assert summary["recommended"] == "nothing"
    assert summary["nothing"]["macro_f1"] is None
    assert "Warning" not in result.stderr
