"""Missing labels: a third of the label cells of train and validation taken away, and the three ways to go on.

    python -m benchmarks.missing [--data ../shared]

On the photographs of scenes, with a linear head on frozen ResNet-18 features. Cells are taken away at random, once for
each seed; the test rows keep theirs. The table in benchmarks/README.md has means over the seeds, and standard
deviations.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.common import data_folder, measured_by, scenes, write_section
from benchmarks.heads import features_of, head_scores, judged
from counterweight.base import manifest
from counterweight.dataset.missing_labels import summary
from counterweight.dataset.self_training import impute_missing
from tests.workspace import make_workspace, run

SEEDS = range(5)
TAKEN = 1 / 3
LOSSES = ("bce", "weighted_bce")
SHOWN = ("test mAP", "test F1, 0.5", "test F1, tuned", "test F1, per_label")


def taken_away(targets: NDArray[np.int8], splits: NDArray[np.object_], seed: int) -> NDArray[np.int8]:
    """The targets with a third of the cells of train and validation missing."""
    gone = np.random.default_rng(seed).random(targets.shape) < TAKEN
    return np.where(gone & (splits != "test")[:, None], manifest.MISSING, targets).astype(np.int8)


def treated(
    features: NDArray[np.float32], given: NDArray[np.int8], splits: NDArray[np.object_], labels: list[str], seed: int
) -> tuple[dict[str, NDArray[np.int8]], dict[str, Any]]:
    """The targets as each way leaves them, and how well the classifiers of self_train did on cells held out."""
    train = splits == "train"
    filling = impute_missing(features[train], given[train], labels, validation=0.2, seed=seed, single_label=False)
    filled = given.copy()
    filled[train] = filling.targets
    ways = {"mask": given, "negative": np.where(given == manifest.MISSING, 0, given), "self_train": filled}
    return {way: targets.astype(np.int8) for way, targets in ways.items()}, summary(filling, labels)


def main() -> None:
    """Measure each way with each loss, and training with all cells for comparison."""
    base = scenes(data_folder(__doc__))
    torch.set_num_threads(1)  # A head is so small that threads get in each other's way.
    started, rows, filling = time.perf_counter(), [], []
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary) / "project", base)
        run(project, "dvc", "repro", "resize")
        table = manifest.read(project / "data/resized.csv")
        features = features_of(project, table, base["features.weights"])
    truth, splits, labels = manifest.targets(table), table["split"].to_numpy(), manifest.label_names(table)
    for seed in SEEDS:
        given = taken_away(truth, splits, seed)
        ways, quality = treated(features, given, splits, labels, seed)
        gone = (given == manifest.MISSING) & (splits == "train")[:, None]
        filling.append(
            {
                "cells filled": quality["filled"],
                "AUC held out": quality["auc"],
                "average precision held out": quality["average_precision"],
                "filled right": float((ways["self_train"][gone] == truth[gone]).mean()),
                "right if all were 0": float((truth[gone] == 0).mean()),
            }
        )
        for way, targets in {"all cells known": truth, **ways}.items():
            for loss in LOSSES:
                scores = head_scores(features, targets, splits, loss)
                rows.append({"data.missing": way, "loss": loss} | judged(targets, scores, splits, labels))
    grouped = pd.DataFrame(rows).groupby(["data.missing", "loss"], sort=False)[list(SHOWN)]
    means, spreads = grouped.mean(), grouped.std()
    cells = means.map("{:.3f}".format) + " ± " + spreads.map("{:.3f}".format)
    section = (
        f"## scenes with missing labels\n\nA third of the label cells of train and validation taken away at random; "
        f"means and standard deviations over {len(SEEDS)} seeds of that.\n\n"
        + measured_by("benchmarks.missing", ("torch", "scikit-learn"), time.perf_counter() - started)
        + "\n\n"
        + cells.reset_index().to_markdown(index=False, disable_numparse=True)
        + "\n\nWhat self_train filled, on the mean over the seeds:\n\n"
        + pd.DataFrame(filling).mean().to_frame("mean").to_markdown(floatfmt=".3f")
        + "\n"
    )
    write_section("missing", section)


if __name__ == "__main__":
    main()
