"""Guarded copies against a sampler without copies, for a network that is trained from scratch.

    python -m benchmarks.from_scratch [--data ../shared]

On 2,000 cats and dogs, four to one, as in `benchmarks.ranking`, DVC trains convnet6 with the random transforms of the
recipe pets_scratch. Without copies, an epoch has 2,000 images, drawn in proportion to the rarity of their class
(`train.weighting: sampler`); with copies it has 3,200, and there are fewer epochs, so that every training sees as many
images and takes as long. Five seeds draw the copies and train the network, two of them at a time. The table goes into
benchmarks/README.md.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.common import data_folder, measured_by, write_section
from benchmarks.ranking import AT_A_TIME, SEEDS, datasets
from recipes.catalog import recipe_values
from tests.workspace import make_workspace, run, write_params

# Epochs without copies, of 2,000 images, and with, of 3,200: 26,000 and 25,600 images.
EPOCHS, EPOCHS_WITH_COPIES = 13, 8
COPIES: Mapping[str, Any] = {
    "augment.strategy": "classes",
    "train.epochs": EPOCHS_WITH_COPIES,
    "train.patience": EPOCHS_WITH_COPIES,
}
# The arm and the params of each way; the others are compared with the first.
WAYS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "sampler": ("weights", {"train.weighting": "sampler"}),
    "plain copies": ("copies", {**COPIES, "augment.copy_mode": "plain"}),
    "copies by gentle, guarded": ("copies", {**COPIES, "augment.pipeline": "gentle"}),
}
METRICS = {"macro F1": "macro_f1", "dog recall": "minority_recall", "cat recall": "majority_recall"}


def measure(data: Path) -> None:
    """Measure and write the section."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        changes = datasets(data, Path(temporary))["cats_dogs_scratch"] | {
            "train.transforms": recipe_values("pets_scratch")["train.transforms"], "train.epochs": EPOCHS,
            "train.patience": EPOCHS,
        }  # fmt: skip
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            rows = pool.map(lambda seed: train(Path(temporary), changes, seed), range(SEEDS))
            table = summarize(pd.concat(map(pd.DataFrame, rows)))
    measured = measured_by("benchmarks.from_scratch", ("torch", "imaug"), time.perf_counter() - started)
    text = table.to_markdown(index=False, floatfmt=".3f")
    write_section("from scratch", f"### cats_dogs, from scratch\n\n{measured}\n\n{text}\n")


def train(folder: Path, changes: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Train and evaluate each way under a seed."""
    changes = {**changes, "train.seed": seed, "augment.seed": seed}
    project, rows = make_workspace(folder / str(seed), changes), []
    for way, (arm, settings) in WAYS.items():
        write_params(project / "params.yaml", {**changes, **settings})
        run(
            project, "dvc", "repro", f"evaluate@{arm}", COUNTERWEIGHT_WORKERS="1", OMP_NUM_THREADS="1",
            COUNTERWEIGHT_CACHE=str(folder / "cache"),
        )  # fmt: skip
        metrics = json.loads((project / f"results/arms/{arm}/metrics.json").read_text(encoding="utf-8"))
        found = {name: metrics["threshold_argmax"][key] for name, key in METRICS.items()}
        rows.append({"way": way, "seed": seed, **found, "tuned": metrics["threshold_tuned"]["macro_f1"]})
        print(rows[-1], flush=True)  # noqa: T201
    return rows


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the seeds, and how much higher macro F1 is than the sampler's, seed by seed."""
    f1 = {way: rows.set_index("seed")["macro F1"] for way, rows in runs.groupby("way")}
    rows = []
    for way in WAYS:
        means = runs[runs["way"] == way].drop(columns=["way", "seed"]).mean()
        gain = f1[way] - f1["sampler"]
        half = float(stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain)))
        said = "" if way == "sampler" else f"{gain.mean():+.3f} [{gain.mean() - half:+.3f}, {gain.mean() + half:+.3f}]"
        rows.append({"way": way, **means, "macro F1 against the sampler": said})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    measure(data_folder(__doc__))
