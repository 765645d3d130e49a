"""How long the probe takes, by the number of images, features and labels: `python -m benchmarks.probe_time`.

It times the whole stage but the reading of files and the making of copies, on features and labels at random, in two
processes, with the limits and pipelines of params.yaml. The table goes into benchmarks/README.md.
"""

import time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common import measured_by, write_section
from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.strategies import TrainImages
from counterweight.base.params import load_params
from counterweight.evidence.cross_validation import CopyFeatures, ProbeData
from counterweight.evidence.folds import draw_sample
from counterweight.evidence.linear_probe import Features, standardize
from counterweight.evidence.probe import LABELS_AT_FULL_SIZE, ProbeConfig, run_probe
from counterweight.evidence.remedies import build_remedies, copies_wanted
from tests.workspace import PROJECT

WORKERS = 2
# Numbers of images, features and labels.
SIZES = (
    (1_000, 512, 6), (10_000, 256, 6), (10_000, 512, 6), (10_000, 512, 20), (10_000, 512, 80),
    (20_000, 512, 10_000),
)  # fmt: skip


def measure() -> None:
    """Measure and write the section."""
    started = time.perf_counter()
    table = pd.DataFrame([_time(*size) for size in SIZES]).to_markdown(index=False, floatfmt=",.0f", intfmt=",")
    measured = measured_by("benchmarks.probe_time", ("scikit-learn", "scipy"), time.perf_counter() - started)
    write_section("probe time", f"## The probe's time\n\n{measured}\n\n{table}\n")


def _time(n_images: int, n_features: int, n_labels: int) -> dict[str, Any]:
    features, targets = _draw(n_images, n_features, n_labels)
    params = load_params(PROJECT / "params.yaml")
    limits, pipelines = params.probe, list(params.augment.pipelines)
    begin = time.perf_counter()
    rows, columns = draw_sample(
        targets, "multilabel", limits.max_images, limits.max_labels, LABELS_AT_FULL_SIZE, limits.seed
    )
    features, targets = standardize(features[rows], features[rows]), targets[np.ix_(rows, columns)]
    ids, labels = [f"{row:05d}" for row in rows], [f"{column:05d}" for column in columns]
    clusters = (np.arange(len(rows)) % 7 % 5).tolist()
    wanted = copies_wanted(
        TrainImages(ids, clusters, targets, labels), "multilabel", AllocationConfig(1.0, None, None, 0)
    )
    copied = np.arange(0, len(rows), max(len(rows) // 600, 1))
    copies = {name: CopyFeatures(features[copied], copied) for name in pipelines}
    data = ProbeData("multilabel", ids, labels, features, targets, wanted, copies)
    remedies, alone = build_remedies("multilabel", pipelines), np.arange(len(rows))
    run_probe(data, alone, alone, remedies, ProbeConfig(limits.folds, limits.repeats, limits.seed, WORKERS))
    return {
        "images": n_images, "features": n_features, "labels": n_labels, "images judged": len(rows),
        "labels judged": len(columns), "remedies": len(remedies), "s": time.perf_counter() - begin,
    }  # fmt: skip


def _draw(n_images: int, n_features: int, n_labels: int) -> tuple[Features, NDArray[np.int8]]:
    """Draw correlated features, whose variances fall as those of networks do, and labels that are rarer and rarer."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    hidden = rng.normal(size=(n_images, n_features)) * np.arange(1, n_features + 1) ** -0.7
    targets = np.empty((n_images, n_labels), dtype=np.int8)
    for label in range(n_labels):
        evidence = hidden @ rng.normal(size=n_features)
        evidence += 0.5 * evidence.std() * rng.normal(size=n_images)
        targets[:, label] = evidence > np.quantile(evidence, 1 - 0.4 * (label + 1) ** -0.7)
    return (hidden @ axes).astype(np.float32), targets


if __name__ == "__main__":
    measure()
