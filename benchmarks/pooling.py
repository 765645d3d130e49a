"""How the maps of a frozen ResNet-18 are best made a row, on the photographs of scenes.

    python -m benchmarks.pooling [--data ../shared]

Five-fold cross-validation within the train rows chooses; what a classifier of all train rows does on the test rows
stands beside it. The classifier is a logistic regression with class weights, its C times the number of features the
best of three in the cross-validation; thresholds, one a label, come from the scores of the left-out folds. The table
goes into benchmarks/README.md.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import WEIGHTS, data_folder, measured_by, write_section
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, network_view, resize
from counterweight.metrics.decisions import DecisionRule, tune
from counterweight.metrics.per_label import average_precisions, label_rates
from counterweight.networks.backbones import Backbone
from counterweight.networks.pooling import BilinearPooling, pool
from counterweight.networks.weights import load_weights

SIZE = (224, 224)
STRENGTHS = (1.0, 10.0, 100.0)
HEAD = (
    "| pooling | mirror | features | C x features | folds mAP | folds F1, one a label | test mAP | test F1, 0.5 "
    "| test F1, one a label |\n|:--|:--|--:|--:|--:|--:|--:|--:|--:|\n"
)


def maps_of(data: Path, names: list[str], *, mirror: bool) -> torch.Tensor:
    """Maps of layer3 of the whole pictures, shape (n, 256, 14, 14)."""
    torch.manual_seed(0)
    backbone = Backbone("resnet18", "layer3", SIZE, pooling=None, flip_tta=mirror).eval()
    load_weights(backbone, str(data / WEIGHTS))
    found = []
    for start in range(0, len(names), 16):
        pictures = [
            network_view(
                resize(codec.read(data / "datasets/miml_scenes/images" / name), TargetSize(400, 400, "stretch")),
                "none",
                SIZE,
            )
            for name in names[start : start + 16]
        ]
        with torch.inference_mode():
            found.append(backbone(torch.from_numpy(np.stack(pictures))))
    return torch.cat(found)


def rows_of(maps: torch.Tensor, pooling: str, train: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Maps as rows; what bilinear pooling is fitted to are maps of train rows."""
    if pooling != "bilinear":
        return pool(maps, pooling).numpy()
    bilinear = BilinearPooling(maps.shape[1])
    bilinear.fit(maps[torch.from_numpy(train)][::4].clone())
    with torch.inference_mode():
        return torch.cat([bilinear(maps[i : i + 64]) for i in range(0, len(maps), 64)]).numpy()


def scores_by(
    strength: float, rows: NDArray[np.float32], targets: NDArray[np.int8], of: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Train on rows, and return the scores of others."""
    each = LogisticRegression(C=strength / rows.shape[1], class_weight="balanced", max_iter=500)
    fitted = make_pipeline(StandardScaler(), OneVsRestClassifier(each)).fit(rows, targets)
    return np.asarray(fitted.predict_proba(of))


def main() -> None:
    """Compare, and write the section."""
    data = data_folder(__doc__)
    started = time.perf_counter()
    sheet = pd.read_excel(data / "datasets/miml_scenes/labels_imbalanced.xlsx", engine="calamine", dtype=str)
    targets = np.array([cell.split(",") for cell in sheet["target_class"]]).astype(np.int8)
    labels = [str(column) for column in range(targets.shape[1])]
    train = (sheet["split"] == "train").to_numpy()
    folds = list(MultilabelStratifiedKFold(5, shuffle=True, random_state=0).split(targets[train], targets[train]))
    lines = []
    for mirror in (False, True):
        maps = maps_of(data, sheet["id"].tolist(), mirror=mirror)
        for pooling in ("average", "pyramid", "bilinear"):
            rows = rows_of(maps, pooling, train)
            own, there, tried = rows[train], targets[train], {}
            for strength in STRENGTHS:
                left_out = np.zeros(there.shape)
                for fitted, judged in folds:
                    left_out[judged] = scores_by(strength, own[fitted], there[fitted], own[judged])
                tried[strength] = left_out
            best = max(tried, key=lambda strength: float(average_precisions(there, tried[strength]).mean()))
            decided = tune(there, tried[best], labels, "multilabel")
            test = scores_by(best, own, there, rows[~train])

            def f1(part: NDArray[np.int8], scores: NDArray[np.float64], how: float | str, by: DecisionRule) -> float:
                return float(label_rates(part, by.apply(scores, how)).f1.mean())

            cells = (
                average_precisions(there, tried[best]).mean(),
                label_rates(there, decided.apply(tried[best], "per_label")).f1.mean(),
                average_precisions(targets[~train], test).mean(),
                *(label_rates(targets[~train], decided.apply(test, how)).f1.mean() for how in (0.5, "per_label")),
            )
            said = " | ".join(f"{value:.3f}" for value in cells)
            lines.append(f"| {pooling} | {'yes' if mirror else 'no'} | {rows.shape[1]:,} | {best:g} | {said} |")
    section = (
        "## scenes: pooling\n\nA logistic regression on pooled maps of a frozen ResNet-18 (layer3, 224 pixels).\n\n"
        + measured_by("benchmarks.pooling", ("torch", "scikit-learn"), time.perf_counter() - started)
        + f"\n\n{HEAD}"
        + "\n".join(lines)
        + "\n"
    )
    write_section("pooling", section)


if __name__ == "__main__":
    main()
