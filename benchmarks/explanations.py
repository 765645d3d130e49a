"""Whether explanations explain: deletion and insertion curves beside those of other images' maps, on scenes.

    python -m benchmarks.explanations [--data ../shared]

Deletion paints an image over, the places that speak most for a label first, and insertion brings them back into a
blurred image (Petsiuk et al., RISE, BMVC 2018). The area under the label's score is low for deletion and high for
insertion if the map names what the score rests on. Each map is compared with the next image's map, which has the same
sizes and shapes in other places. There are 30 test images, each with its rarest label that the network gives; the
network is that of the arm without remedies. The table goes into benchmarks/README.md.
"""

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from benchmarks.common import data_folder, measured_by, write_section
from benchmarks.ranking import datasets
from counterweight.base import manifest
from counterweight.clustering.similar_images import evenly_spaced
from counterweight.explanation.attribution import ExplainConfig, explain
from counterweight.explanation.chosen_images import rarest_column
from counterweight.metrics import decisions
from counterweight.metrics.seed_means import first_scores
from counterweight.networks.classifier import Classifier, load
from counterweight.networks.loader import ImageDataset, ImageFiles
from tests.workspace import make_workspace, run

IMAGES, STEPS = 30, 20
METHODS = ("gradcam", "occlusion", "lime")
ARM = "results/arms/nothing"

Maps = NDArray[np.float32]
Views = NDArray[np.uint8]


def given_labels(project: Path) -> tuple[Classifier, Views, NDArray[np.intp]]:
    """Return the network, what it sees of the images, and the column of each image's label."""
    table = manifest.read(project / "augmented/arms/nothing.csv")
    test, train = (manifest.rows_of_split(table, split) for split in ("test", "train"))
    models = decisions.seed_folders(project / ARM / "models")
    classifier, rule = load(models[0]), decisions.read(models[0])
    scores = first_scores(project / ARM / "scores.csv", test["image_id"].tolist())
    given = rule.apply(scores, decisions.TUNED) & (manifest.targets(test) == 1)
    able = np.flatnonzero(given.any(axis=1))
    chosen = able[evenly_spaced(len(able), IMAGES)]
    columns = rarest_column(given[chosen], (manifest.targets(train) == 1).sum(axis=0))
    files = ImageFiles.of_rows(test.iloc[chosen], project / "data/resized")
    return classifier, ImageDataset(files, classifier.config.preprocessing).views(), columns


def areas(classifier: Classifier, view: Views, column: int, evidence: Maps) -> tuple[float, float]:
    """Return the areas under the score while the strongest places are deleted, and while they are inserted."""
    order = np.argsort(-evidence.ravel(), kind="stable")
    rank = np.argsort(order).reshape(evidence.shape)
    mean, blurred = view.mean(axis=(0, 1)).round().astype(np.uint8), cv2.GaussianBlur(view, (0, 0), 12)
    edges = np.linspace(0, len(order), STEPS + 1)
    deleted = [np.where((rank < edge)[..., None], mean, view) for edge in edges]
    inserted = [np.where((rank < edge)[..., None], view, blurred) for edge in edges]
    with torch.inference_mode():
        logits = classifier(torch.from_numpy(np.stack([*deleted, *inserted]).astype(np.uint8)))
    curves = torch.sigmoid(logits[:, column]).double().numpy().reshape(2, -1)
    deletion, insertion = np.trapezoid(curves, dx=1 / STEPS, axis=1)
    return float(deletion), float(insertion)


def random_maps(shape: tuple[int, ...], patches: int) -> Maps:
    """Return maps of random patches, as coarse as those of the methods."""
    rng = np.random.default_rng(0)
    coarse = rng.random((shape[0], patches, patches), np.float32)
    return np.stack([cv2.resize(each, (shape[2], shape[1])) for each in coarse])


def measure(project: Path) -> pd.DataFrame:
    """Return the areas by each method, and their differences from those by other images' maps, with 95 % intervals."""
    classifier, views, columns = given_labels(project)

    def areas_by(maps: Maps) -> NDArray[np.float64]:
        return np.array([areas(classifier, *each) for each in zip(views, columns.tolist(), maps, strict=True)])

    deletion, insertion = areas_by(random_maps(views.shape, 7)).mean(axis=0)
    rows: list[list[object]] = [["random patches", deletion, "", insertion, "", 0.0]]
    for name in METHODS:
        started = time.perf_counter()
        maps, _ = explain(classifier, views, columns.tolist(), ExplainConfig(name, patches=7, samples=150, seed=0))
        seconds = (time.perf_counter() - started) / len(views)
        own, other = areas_by(maps), areas_by(np.roll(maps, 1, axis=0))
        said = [_interval(own[:, i] - other[:, i]) for i in range(2)]
        rows.append([name, own[:, 0].mean(), said[0], own[:, 1].mean(), said[1], seconds])
    head = ["map", "deletion", "against another's", "insertion", "against another's, insertion", "seconds per image"]
    return pd.DataFrame(rows, columns=head)


def _interval(differences: NDArray[np.float64]) -> str:
    low, high = stats.t.interval(0.95, len(differences) - 1, differences.mean(), stats.sem(differences))
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    """Measure, and write the table."""
    data, start = data_folder(__doc__), time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary) / "project", datasets(data, Path(temporary))["scenes"])
        run(project, "dvc", "repro", "evaluate@nothing")
        table = measure(project).to_markdown(index=False, floatfmt=".3f")
    note = measured_by("benchmarks.explanations", ("torch", "captum"), time.perf_counter() - start)
    write_section("explanations", f"{table}\n\n{note}\n")


if __name__ == "__main__":
    main()
