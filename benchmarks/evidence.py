"""Whether the probe can be trusted: beside scikit-learn, on labels with known errors, and where the answer is known.

    python -m benchmarks.evidence [--data ../shared]

The stages up to cluster are run by DVC on the photographs of scenes, on cats and dogs and on the bundled example. The
tables go into benchmarks/README.md. Then come the time of the probe (`benchmarks.probe_time`), the rankings of remedies
(`benchmarks.ranking`) and the intervals of trained networks (`benchmarks.coverage`), each also a command of its own.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks import coverage, probe_time, ranking
from benchmarks.common import WEIGHTS, data_folder, measured_by, scenes, write_section
from benchmarks.logistic_regression import heads_beside_scikit_learn, probe_beside_scikit_learn
from counterweight.base import manifest
from counterweight.evidence.cross_validation import ProbeData, cross_validate
from counterweight.evidence.folds import corrected_difference, repeated_folds
from counterweight.evidence.label_issues import find_label_issues
from counterweight.evidence.linear_probe import standardize
from counterweight.evidence.remedies import Training
from tests.workspace import PROJECT, make_workspace, run, write_params

WORKERS = 2
# Runs of the simulation per effect, and images per run.
N_RUNS, N_IMAGES = 1000, 200
# How much stronger the second set of features is, for each effect.
STRENGTHS = (0.0, 0.06, 0.17)


def measure(data: Path) -> None:
    """Measure and write the section."""
    started = time.perf_counter()
    pets = str(data / "datasets/cats_dogs")
    datasets: Mapping[str, Mapping[str, Any]] = {
        "scenes": scenes(data),
        "cats_dogs": {
            "data.images": pets, "data.sheet": pets, "data.task": "binary", "data.columns.image": "image",
            "data.columns.split": "split", "data.columns.labels": "class", "resize.width": 96, "resize.height": 96,
            "features.weights": str(data / WEIGHTS), "features.layer": "layer3", "features.input_size": 224,
            "train.loss": "cross_entropy",
        },
        "example": {},
    }  # fmt: skip
    rows, heads, flipped = [], [], pd.DataFrame()
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary) / "project", {})
        shutil.copytree(PROJECT / "data/example", project / "data/example", ignore=shutil.ignore_patterns("images"))
        for name, changes in datasets.items():
            write_params(project / "params.yaml", changes)
            run(project, "dvc", "repro", "cluster")
            probed = _probe_data(project, str(changes.get("data.task", "multilabel")))
            rows += [{"data": name, **row} for row in probe_beside_scikit_learn(probed, WORKERS)]
            heads += [{"data": name, **row} for row in heads_beside_scikit_learn(probed, WORKERS)]
            if name == "scenes":
                flipped = _flipped_labels(probed)
    sections = {
        "Macro F1 on held-out train images (five folds, once), by the probe and by scikit-learn's LogisticRegressionCV "
        "on the same features and folds, with C chosen by log loss": pd.DataFrame(rows),
        "Macro F1 on held-out train images (five folds, the next one to choose the penalty), by the head that train "
        "fits to frozen features and by scikit-learn's LogisticRegression": pd.DataFrame(heads),
        "Labels that are likely wrong, after 5 % of the scenes' label cells were flipped at random": flipped,
        f"Intervals of the corrected resampled t-test on {N_RUNS:,} simulated data sets of {N_IMAGES} images, whose "
        "remedies have a known effect": _simulation(),
    }
    text = "\n".join(
        f"{title}:\n\n{table.astype(object).to_markdown(index=False, floatfmt='.3f')}\n"
        for title, table in sections.items()
    )
    seconds = time.perf_counter() - started
    head = "## The probe\n\n" + measured_by("benchmarks.evidence", ("scikit-learn", "scipy"), seconds)
    write_section("evidence", f"{head}\n\n{text}")


def _probe_data(project: Path, task: str) -> ProbeData:
    """Read the train images of a project as the probe sees them, without copies."""
    table = manifest.read(project / "features/clusters.csv")
    train, features = manifest.rows_of_split(table, "train"), np.load(project / "features/features.npy")
    labels = manifest.label_names(table)
    return ProbeData(
        task, train["image_id"].tolist(), labels, standardize(features, features), manifest.targets(train), {}, {}
    )


def _flipped_labels(data: ProbeData) -> pd.DataFrame:
    """Flip 5 % of the cells, and count how many of the flagged ones were flipped."""
    rows = []
    for seed in range(5):
        flipped = np.random.default_rng(seed).random(data.targets.shape) < 0.05
        targets = np.where(flipped, 1 - data.targets, data.targets)
        folds = repeated_folds(targets, np.arange(len(targets)), n_folds=5, n_repeats=2, seed=seed)
        wrong = ProbeData(data.task, data.image_ids, data.labels, data.features, targets, {}, {})
        scores = np.zeros(targets.shape)
        for fold in cross_validate(wrong, folds, [Training()], workers=WORKERS):
            scores[fold.rows] += fold.by_training[Training()].scores / 2
        issues = find_label_issues(data.image_ids, data.labels, targets, scores, is_single_label=False)
        cells = {(data.image_ids[row], data.labels[column]) for row, column in np.argwhere(flipped)}
        hits = len(cells & set(zip(issues["image_id"], issues["label"], strict=True)))
        rows.append(
            {"seed": seed, "flipped": len(cells), "flagged": len(issues), "precision": hits / len(issues),
             "recall": hits / len(cells)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _simulation() -> pd.DataFrame:
    """Compare classifiers on two sets of features, the second of which is better by a known amount."""
    rows = []
    for strength in STRENGTHS:
        truth = np.mean(Parallel(n_jobs=WORKERS)(delayed(_true_gain)(strength, seed) for seed in range(2000)))
        results = Parallel(n_jobs=WORKERS)(delayed(_simulated)(strength, seed) for seed in range(N_RUNS))
        low, high = np.array([(result.low, result.high) for result in results]).T
        rows.append(
            {"true effect": truth, "intervals that cover it": np.mean((low <= truth) & (truth <= high)),
             "said to help": np.mean(low > 0), "said to harm": np.mean(high < 0)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _draw(
    strength: float, n_images: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], list[NDArray[np.float64]]]:
    """Draw labels, and two sets of five features that show them, the second more strongly."""
    y_true = rng.random(n_images) < 0.3
    return y_true, [rng.normal(size=(n_images, 5)) + signal * y_true[:, None] for signal in (0.6, 0.6 + strength)]


def _f1(
    train: NDArray[np.float64], y_train: NDArray[np.bool_], test: NDArray[np.float64], y_test: NDArray[np.bool_]
) -> float:
    predicted = LogisticRegression(class_weight="balanced").fit(train, y_train).predict(test)
    return float(2 * (predicted & y_test).sum() / max(predicted.sum() + y_test.sum(), 1))


def _true_gain(strength: float, seed: int) -> float:
    """Gain of the second set on many other images, after training on as many as a fold leaves."""
    rng = np.random.default_rng(10_000 + seed)
    y_train, train = _draw(strength, N_IMAGES * 4 // 5, rng)
    gains = []
    for _ in range(5):
        y_test, test = _draw(strength, N_IMAGES // 5, rng)
        first, second = (_f1(train[i], y_train, test[i], y_test) for i in range(2))
        gains.append(second - first)
    return float(np.mean(gains))


def _simulated(strength: float, seed: int) -> Any:
    """Interval of the gain on one data set, by five folds, five times."""
    y_true, features = _draw(strength, N_IMAGES, np.random.default_rng(seed))
    folds = repeated_folds(y_true[:, None].astype(int), np.arange(N_IMAGES), n_folds=5, n_repeats=5, seed=seed)
    gains = []
    with threadpool_limits(1):
        for of_repeat in folds:
            for fold in range(5):
                train, test = of_repeat != fold, of_repeat == fold
                first, second = (_f1(part[train], y_true[train], part[test], y_true[test]) for part in features)
                gains.append(second - first)
    return corrected_difference(np.array(gains), 5)


if __name__ == "__main__":
    folder = data_folder(__doc__)
    measure(folder)
    probe_time.measure()
    ranking.measure(folder)
    coverage.measure()
