"""Every strategy and loss on photographs of scenes, with a linear head on frozen ResNet-18 features (up to layer3).

    python -m benchmarks.scenes [--data ../shared]

The stages up to augment are run by DVC for each strategy, in a temporary folder; the features of all images and copies
are computed once for each, and a head is trained on them with each loss. The table goes into benchmarks/README.md. The
best on validation is marked; the test columns took no part in that.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common import data_folder, measured_by, scenes, write_section
from benchmarks.heads import features_of, head_scores, judged
from counterweight.base import manifest
from counterweight.metrics import imbalance
from tests.workspace import make_workspace, run, write_params

STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "none": {"augment.strategy": "none"},
    "clusters, article": {"augment.strategy": "clusters"},
    "clusters, gentle": {"augment.strategy": "clusters", "augment.pipeline": "gentle"},
    "clusters, plain": {"augment.strategy": "clusters", "augment.copy_mode": "plain"},
    "clusters_labels, gentle": {"augment.strategy": "clusters_labels", "augment.pipeline": "gentle"},
    "labels, gentle": {"augment.strategy": "labels", "augment.pipeline": "gentle"},
    "labels, plain": {"augment.strategy": "labels", "augment.copy_mode": "plain"},
}
LOSSES = ("bce", "weighted_bce", "focal", "asymmetric", "distribution_balanced")


def main() -> None:
    """Run all strategies with all losses."""
    base = scenes(data_folder(__doc__))
    torch.set_num_threads(1)  # A head is so small that threads get in each other's way.
    started, found = time.perf_counter(), []
    known: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary) / "project", base)
        for name, changes in STRATEGIES.items():
            write_params(project / "params.yaml", base | dict(changes))
            run(project, "dvc", "repro", "augment")
            table = manifest.read(project / "augmented/manifest.csv")
            new = table[~table["checksum"].isin(known)].drop_duplicates("checksum")
            if len(new):
                known |= dict(zip(new["checksum"], features_of(project, new, base["features.weights"]), strict=True))
            features = np.stack([known[checksum] for checksum in table["checksum"]])
            targets, splits = manifest.targets(table), table["split"].to_numpy()
            train = targets[splits == "train"]
            about = {"strategy": name, "train": len(train), "MeanIR": imbalance.mean_ir(train)}
            for loss in LOSSES:
                scores = head_scores(features, targets, splits, loss)
                found.append(about | {"loss": loss} | judged(targets, scores, splits, manifest.label_names(table)))
    results = pd.DataFrame(found)
    best = results["val F1, per_label"].idxmax()
    results["strategy"] = results["strategy"].where(results.index != best, results["strategy"] + " *")
    section = (
        "## scenes: every strategy and loss\n\nPhotographs of scenes, deserts and sunsets rare; a linear head on "
        "frozen ResNet-18 features of the whole picture. F1 is the mean over the labels, by the threshold 0.5, one "
        "tuned on validation, one a label. * is the best on validation with a threshold a label.\n\n"
        + measured_by("benchmarks.scenes", ("torch", "imaug"), time.perf_counter() - started)
        + "\n\n"
        + results.to_markdown(index=False, floatfmt=".3f")
        + "\n"
    )
    write_section("strategies", section)


if __name__ == "__main__":
    main()
