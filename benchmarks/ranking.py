"""Whether the probe ranks remedies as trainings of networks do.

    python -m benchmarks.ranking [--data ../shared] [scenes] [cats_dogs] [example] [cats_dogs_scratch]

Each remedy of the probe is set in params.yaml, as `stages.recommend` would, and DVC runs the pipeline with it: a
network is trained and evaluated on the test images, which the probe has not seen. Five seeds draw the copies and train
the network, two of them at a time. The table of each data set, by default of all, goes into its own section of
benchmarks/README.md.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.stats import kendalltau

from benchmarks.common import WEIGHTS, data_parser, measured_by, scenes, write_section
from counterweight.evidence.recommendation import recommend
from counterweight.evidence.remedies import Remedy, build_remedies, settings
from tests.workspace import PROJECT, make_workspace, run, write_params

SEEDS, AT_A_TIME = 5, 2
# Cats and dogs that are drawn from each class of train, so that trainings from scratch take minutes.
PETS_DRAWN = {"cat": 1600, "dog": 400}
# A strong pipeline and a mild one.
PIPELINES = ("article", "gentle")


def measure(data: Path, names: Sequence[str] = ()) -> None:
    """Measure some data sets, by default all, and write the section of each."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, changes in datasets(data, Path(temporary)).items():
            if not names or name in names:
                started = time.perf_counter()
                ranked = rank(Path(temporary) / name, changes)
                write(name, ranked, time.perf_counter() - started)


def write(name: str, ranked: pd.DataFrame, seconds: float) -> None:
    """Write the section of a data set."""
    summary = pd.DataFrame([agreement(ranked, metric) for metric in ("probe", "balanced")])
    measured = measured_by(f"benchmarks.ranking {name}", ("torch", "scikit-learn"), seconds)
    tables = [each.to_markdown(index=False, floatfmt=".3f") for each in (summary, ranked)]
    write_section(f"ranking of {name}", "\n\n".join([f"### {name}", measured, *tables]) + "\n")


def datasets(data: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Return params by name: a frozen body with a linear head, and on cats and dogs a network from scratch too."""
    weights, digits = (
        {"features.weights": str(path), "train.weights": str(path)}
        for path in (data / WEIGHTS, PROJECT / "data/example/handwriting.safetensors")
    )
    layers = {"features.layer": "layer3", "features.input_size": 224, "train.layer": "layer3"}
    pets = {
        "data.images": str(data / "datasets/cats_dogs"), "data.sheet": str(_pets_sheet(data, folder)),
        "data.task": "binary", "data.columns.image": "image", "data.columns.split": "split",
        "data.columns.labels": "class", "resize.width": 32, "resize.height": 32, "resize.format": "png",
        "train.loss": "cross_entropy", "train.input_size": 96,
    }  # fmt: skip
    scratch: dict[str, Any] = {
        "train.model": "convnet6", "train.weights": "random", "train.layer": None, "train.freeze": False,
        "train.input_size": 32, "train.optimizer": "adamw", "train.learning_rate": 4e-3, "train.weight_decay": 0.05,
        "train.schedule": "one_cycle", "train.epochs": 12, "train.patience": 12, "train.monitor": "loss",
        # Two trainings at a time: with two threads each, they took three times as long as one after the other.
        "train.batch_size": 64, "train.threads": 1,
    }  # fmt: skip
    example = {
        "data.images": str(PROJECT / "data/example/images"), "data.sheet": str(PROJECT / "data/example/labels.xlsx")
    }  # fmt: skip
    return {
        "scenes": scenes(data) | {"resize.width": 224, "resize.height": 224},
        "cats_dogs": pets | weights | layers,
        "example": digits | example,
        "cats_dogs_scratch": pets | weights | layers | scratch,
    }


def rank(folder: Path, changes: Mapping[str, Any]) -> pd.DataFrame:
    """Return macro F1 of each remedy by the probe and by trainings; the attribute ``recommended`` has the remedies."""
    remedies = build_remedies(str(changes.get("data.task", "multilabel")), PIPELINES)
    pipelines = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))["augment"]["pipelines"]
    changes = {**changes, "augment.pipelines": {name: pipelines[name] for name in PIPELINES}}
    of_seeds = [{**changes, "train.seed": seed, "augment.seed": seed} for seed in range(SEEDS)]
    projects = [make_workspace(folder / str(seed), of_seed) for seed, of_seed in enumerate(of_seeds)]
    run(projects[0], "dvc", "repro", "probe", COUNTERWEIGHT_CACHE=str(folder / "cache"))
    probed = pd.read_csv(projects[0] / "results/remedies.csv")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        trained = pd.DataFrame(
            pool.map(lambda project, of_seed: dict(_trainings(project, of_seed, remedies)), projects, of_seeds)
        ).T
    by_remedy = probed.set_index("remedy").loc[trained.index]
    ranked = pd.DataFrame(
        {"remedy": trained.index, "probe": by_remedy["macro_f1"].to_numpy(),
         "balanced": by_remedy["balanced_f1"].to_numpy(), "training": trained.mean(axis=1).to_numpy(),
         "deviation": trained.std(axis=1, ddof=1).to_numpy()}
    )  # fmt: skip
    ranked.attrs["recommended"] = {
        "probe": recommend(probed, remedies, "macro_f1").remedy,
        "balanced": recommend(probed, remedies, "balanced_f1").remedy,
    }
    return ranked


def _trainings(project: Path, changes: Mapping[str, Any], remedies: Sequence[Remedy]) -> Iterator[tuple[str, float]]:
    """Train a network after each remedy, and yield its macro F1 on the test images."""
    for remedy in remedies:
        arm = _arm(remedy)
        write_params(project / "params.yaml", {**changes, **settings(remedy)})
        # Seeds that run beside each other share the cores, and threads that wait for each other would lose time.
        run(
            project, "dvc", "repro", f"evaluate@{arm}", COUNTERWEIGHT_WORKERS="1", OMP_NUM_THREADS="1",
            COUNTERWEIGHT_CACHE=str(project.parent / "cache"),
        )  # fmt: skip
        metrics = json.loads((project / f"results/arms/{arm}/metrics.json").read_text(encoding="utf-8"))
        yield remedy.name, float(metrics[f"threshold_{remedy.decision}"]["macro_f1"])


def agreement(ranked: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Summarize how far the trainings agree with the probe, by one of its metrics."""
    tau = float(kendalltau(ranked[metric], ranked["training"]).statistic)
    half = 1.96 * np.sqrt(0.437 / (len(ranked) - 4))
    low, high = np.tanh(np.arctanh(tau) + np.array([-half, half]))
    trained = dict(zip(ranked["remedy"], ranked["training"].astype(float), strict=True))
    gain = {remedy: value - trained["nothing"] for remedy, value in trained.items()}
    best = max(gain, key=lambda remedy: gain[remedy])
    recommended = ranked.attrs["recommended"][metric]
    return {
        "by": metric, "remedies": len(ranked), "tau": tau, "low": low, "high": high, "recommended": recommended,
        "gain": gain[recommended], "best remedy": best, "best": gain[best],
    }  # fmt: skip


def _arm(remedy: Remedy) -> str:
    parts = ["copies"] * (remedy.training.strategy is not None) + ["weights"] * remedy.training.balanced
    return "+".join(parts) or "nothing"


def _pets_sheet(data: Path, folder: Path) -> Path:
    """Write a sheet with the first images of each class of train, and all test images."""
    root = data / "datasets/cats_dogs"
    rows = [
        (path.relative_to(root).as_posix(), split, label)
        for split in ("train", "test")
        for label, drawn in PETS_DRAWN.items()
        for path in sorted((root / split / label).iterdir())[: drawn if split == "train" else None]
    ]
    path = folder / "pets.csv"
    pd.DataFrame(rows, columns=["image", "split", "class"]).to_csv(path, index=False)
    return path


if __name__ == "__main__":
    parser = data_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="data set")
    arguments = parser.parse_args()
    measure(arguments.data.resolve(), arguments.names)
