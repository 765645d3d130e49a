"""Every strategy and loss on photographs of scenes, with a linear head on frozen ResNet-18 features (up to layer3).

    python -m benchmarks.scenes [--data ../shared]

The stages up to augment are run by DVC for each strategy, in a temporary folder; the features of all images and copies
are computed once for each, and a head is trained on them with each loss. The table goes into benchmarks/README.md. The
best on validation is marked; the test columns took no part in that.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.real_input import WEIGHTS, write_section
from stages.core import decisions, imbalance, manifest
from stages.core.backbones import Backbone, load_weights
from stages.core.evaluation import average_precisions
from stages.core.inference import rows_of
from stages.core.losses import build_loss, plain_loss
from stages.core.optimisation import Optimisation
from stages.core.rates import rates
from stages.core.sampling import order_of
from stages.core.training import Objective, fit
from tests.workspace import make_workspace, run, write_params

STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "none": {"augment.strategy": "none"},
    "clusters, article": {"augment.strategy": "clusters"},
    "clusters, gentle": {"augment.strategy": "clusters", "augment.pipeline": "gentle"},
    "clusters, plain": {"augment.strategy": "clusters", "augment.copies": "plain"},
    "clusters_labels, gentle": {"augment.strategy": "clusters_labels", "augment.pipeline": "gentle"},
    "labels, gentle": {"augment.strategy": "labels", "augment.pipeline": "gentle"},
    "labels, plain": {"augment.strategy": "labels", "augment.copies": "plain"},
}
LOSSES = ("bce", "weighted_bce", "focal", "asymmetric", "distribution_balanced")
SIZE = (224, 224)


def head_scores(features: np.ndarray, targets: np.ndarray, splits: np.ndarray, loss: str) -> np.ndarray:
    """Train a linear head and return its scores of all images."""
    torch.manual_seed(0)
    head = nn.Linear(features.shape[1], targets.shape[1])
    parts = {
        split: TensorDataset(
            torch.tensor(features[splits == split]), torch.tensor(targets[splits == split], dtype=torch.float32)
        )
        for split in ("train", "val")
    }
    train = targets[splits == "train"]
    fit(
        head,
        Objective(build_loss(loss, train), plain_loss("sigmoid", targets.shape[1]), "sigmoid", "average_precision"),
        parts["train"],
        parts["val"],
        order=order_of(len(train), 0),
        optimisation=Optimisation("adam", 3e-3, 0.0, "none", 200),
        epochs=200,
        patience=20,
        batch_size=32,
        device=torch.device("cpu"),
        workers=0,
    )
    with torch.inference_mode():
        return expit(head(torch.tensor(features)).numpy().astype(np.float64))


def measured(table: pd.DataFrame, features: np.ndarray) -> list[dict[str, Any]]:
    """A row for each loss on one arm."""
    targets, splits = manifest.targets(table), table["split"].to_numpy()
    labels, rows = manifest.label_names(table), []
    for loss in LOSSES:
        scores = head_scores(features, targets, splits, loss)
        val, test = splits == "val", splits == "test"
        decided = decisions.tune(targets[val], scores[val], labels, "multilabel")
        row: dict[str, Any] = {"loss": loss}
        for name, part in (("val", val), ("test", test)):
            row[f"{name} mAP"] = float(np.nanmean(average_precisions(targets[part], scores[part])))
            for how in (0.5, "tuned", "per_label"):
                given = decided.given(scores[part], how)
                row[f"{name} F1, {how}"] = float(rates(targets[part], given).f1.mean())
        rows.append(row)
    return rows


def main() -> None:
    """Run all strategies with all losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared"))
    data = parser.parse_args().data.resolve()
    base = {
        "data.images": str(data / "datasets/miml_scenes/images"),
        "data.sheet": str(data / "datasets/miml_scenes/labels_imbalanced.xlsx"),
        "resize.width": 400,
        "resize.height": 400,
        "features.weights": str(data / WEIGHTS),
        "features.layer": "layer3",
    }
    torch.set_num_threads(2)
    backbone = Backbone("resnet18", "layer3", SIZE)
    load_weights(backbone, base["features.weights"])
    started, found = time.perf_counter(), []
    known: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary) / "project", base)
        for name, changes in STRATEGIES.items():
            write_params(project / "params.yaml", base | dict(changes))
            run(project, "dvc", "repro", "augment")
            table = manifest.read(project / "augmented/manifest.csv")
            new = table[~table["checksum"].isin(known)].drop_duplicates("checksum")
            files = [
                project / ("augmented/images" if source else "data/resized") / path
                for source, path in zip(new["source_id"], new["path"], strict=True)
            ]
            if files:
                features = rows_of(
                    backbone, files, new["checksum"].tolist(),
                    view="whole", size=SIZE, device=torch.device("cpu"), workers=1,
                )  # fmt: skip
                known |= dict(zip(new["checksum"], features, strict=True))
            train = manifest.targets(manifest.of_split(table, "train"))
            about = {"strategy": name, "train": len(train), "MeanIR": imbalance.mean_ir(train)}
            rows = measured(table, np.stack([known[checksum] for checksum in table["checksum"]]))
            found += [about | row for row in rows]
    results = pd.DataFrame(found)
    best = results["val F1, per_label"].idxmax()
    results["strategy"] = results["strategy"].where(results.index != best, results["strategy"] + " *")
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "imaug"))
    section = (
        "## scenes: every strategy and loss\n\nPhotographs of scenes, deserts and sunsets rare; a linear head on "
        "frozen ResNet-18 features of the whole picture. F1 is the mean over the labels, by the threshold 0.5, one "
        "tuned on validation, one a label. * is the best on validation with a threshold a label.\n\n"
        f"`python -m benchmarks.scenes`, {date.today()}, {platform.machine()}, 2 cores, no GPU, {packages}: "
        f"{time.perf_counter() - started:.0f} s.\n\n" + results.to_markdown(index=False, floatfmt=".3f") + "\n"
    )
    write_section("strategies", section)


if __name__ == "__main__":
    main()
