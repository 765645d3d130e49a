"""The numbers of each arm, computed again from its scores, its decision rules and the tables of the arms."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from counterweight.base import manifest
from counterweight.metrics import decisions
from counterweight.metrics.bootstrap import macro_f1_intervals
from counterweight.metrics.calibration import expected_calibration_error
from counterweight.metrics.decisions import DecisionRule
from tests.conftest import SEEDS


@dataclass(frozen=True)
class Judged:
    """An arm's images of a split: targets, and the scores and rules by seed."""

    targets: NDArray[np.int8]
    scores: Sequence[NDArray[np.float64]]
    rules: Sequence[DecisionRule]

    @property
    def predictions(self) -> NDArray[np.bool_]:
        """By the tuned threshold of each seed, shape (n_seeds, n_images, n_labels)."""
        return np.stack([scores >= rule.tuned for scores, rule in zip(self.scores, self.rules, strict=True)])

    @property
    def probabilities(self) -> list[NDArray[np.floating]]:
        """Calibrated scores by seed."""
        return [rule.probabilities(scores) for scores, rule in zip(self.scores, self.rules, strict=True)]

    def macro_f1(self, columns: NDArray[np.intp] | None = None) -> float:
        """Mean over the seeds."""
        which = slice(None) if columns is None else columns
        truth = self.targets[:, which]
        values = [f1_score(truth, each[:, which], average="macro", zero_division=0) for each in self.predictions]
        return float(np.mean(values))


def judged(folder: Path, arm: str, split: str) -> Judged:
    """Read what a multi-label arm says about the images of a split."""
    results = folder / f"results/arms/{arm}"
    table = manifest.rows_of_split(manifest.read(folder / f"augmented/arms/{arm}.csv"), split)
    rows = pd.read_csv(results / "scores.csv", dtype={"image_id": "str"})
    scores = [
        rows[rows["seed"] == seed].set_index("image_id").loc[table["image_id"]].iloc[:, 2:].to_numpy() for seed in SEEDS
    ]
    rules = [decisions.read(results / f"models/seed-{seed}") for seed in SEEDS]
    return Judged(manifest.targets(table), scores, rules)


def rarest_columns(folder: Path) -> NDArray[np.intp]:
    """The third of the labels with the fewest train images of the arm nothing, without those of no image."""
    train = manifest.rows_of_split(manifest.read(folder / "augmented/arms/nothing.csv"), "train")
    counts = {column: count for column, count in enumerate(manifest.targets(train).sum(axis=0)) if count}
    return np.sort(sorted(counts, key=lambda column: counts[column])[: -(-len(counts) // 3)])


def recomputed(folder: Path, arm: str, *, n_samples: int = 200, seed: int = 0) -> Mapping[str, float]:
    """Return the row of results/arms.csv for an arm."""
    nothing, test, validation = (
        judged(folder, "nothing", "test"),
        judged(folder, arm, "test"),
        judged(folder, arm, "val"),
    )
    there = test.targets.any(axis=0)
    row: dict[str, float] = {"seeds": len(SEEDS)}
    for name, columns in (("", np.arange(test.targets.shape[1])), ("rare_", rarest_columns(folder))):
        parts = [each.predictions[:, :, columns] for each in (nothing, test)]
        found = macro_f1_intervals(test.targets[:, columns], *parts, n_samples=n_samples, seed=seed)
        f1, before = test.macro_f1(columns), nothing.macro_f1(columns)
        for measure, value, interval in (
            (f"{name}f1" if name else "macro_f1", f1, found[1]),
            (f"{name}difference", round(f1, 3) - round(before, 3), found[2]),
        ):
            row |= {measure: value, f"{measure}_low": interval.low, f"{measure}_high": interval.high}
    row["map"] = np.mean([average_precision_score(test.targets[:, there], each[:, there]) for each in test.scores])
    row["macro_auc"] = np.mean([roc_auc_score(test.targets[:, there], each[:, there]) for each in test.scores])
    row["brier"] = np.mean([(each - test.targets) ** 2 for each in test.scores])
    for measure, values in (("calibration_error", test.scores), ("calibrated_error", test.probabilities)):
        row[measure] = np.mean([expected_calibration_error(test.targets, each) for each in values])
    return row | {"validation_macro_f1": validation.macro_f1()}


def replace_scores(folder: Path, arm: str, scores: Mapping[str, NDArray[np.float64]] | float) -> None:
    """Replace an arm's scores of all seeds: by those of each split, or by one number."""
    path = folder / f"results/arms/{arm}/scores.csv"
    rows = pd.read_csv(path, dtype={"image_id": "str"})
    table = manifest.read(folder / f"augmented/arms/{arm}.csv")
    for split in ("val", "test"):
        ids = manifest.rows_of_split(table, split)["image_id"]
        for seed in SEEDS:
            where = (rows["split"] == split) & (rows["seed"] == seed)
            assert rows.loc[where, "image_id"].tolist() == ids.tolist()
            rows.loc[where, rows.columns[3:]] = scores if isinstance(scores, float) else scores[split]
    rows.to_csv(path, index=False)


def replace_validation_f1(folder: Path, arm: str, macro_f1: float) -> None:
    """Replace macro F1 on validation in an arm's metrics file."""
    path = folder / f"results/arms/{arm}/metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    metrics["validation"]["threshold_tuned"]["macro_f1"] = macro_f1
    path.write_text(json.dumps(metrics), encoding="utf-8")
