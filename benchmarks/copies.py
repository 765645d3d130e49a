"""Whether copies still show their labels, with and without the guard, and what that is worth on the test images.

    python -m benchmarks.copies [--data ../shared] [scenes] [cats_dogs] [example]

DVC runs the stages up to cluster. Then each strategy and pipeline makes its copies, under five seeds, with and without
the guard of params.yaml. Labels are looked for by probes on another layer than the guard's, fitted to originals; and a
linear classifier on the features of originals and copies is judged on the test images. The table of each data set, by
default of all, goes into its own section of benchmarks/README.md.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.common import data_parser, measured_by, write_section
from benchmarks.ranking import datasets
from counterweight.augmentation.allocation import AllocationConfig, MadeCopy
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.augmentation.oversampling import make_copies
from counterweight.augmentation.provenance import train_sources
from counterweight.augmentation.strategies import TrainImages, build_plan
from counterweight.base import manifest
from counterweight.base.params import Params, load_params
from counterweight.evidence.cross_validation import PENALTIES, ProbeData
from counterweight.evidence.folds import image_groups
from counterweight.evidence.label_guard import GuardConfig, LabelGuard, fit_label_guard
from counterweight.evidence.linear_probe import Features, fit_linear_probe, log_loss, standardize
from counterweight.evidence.remedies import Training
from counterweight.metrics import decisions
from counterweight.metrics.per_label import average_precisions, label_rates
from counterweight.networks.feature_extractor import FeatureConfig, FeatureExtractor, build_feature_extractor
from counterweight.networks.inference import Compute
from counterweight.networks.loader import ImageFiles
from counterweight.runtime.cache import Cache
from tests.workspace import make_workspace, run

SEEDS, SAMPLES, WORKERS = 5, 500, 2
# What is tried, and the layer below the guard's, whose probes judge.
TRIED = {
    "scenes": (("clusters", "labels"), ("article", "gentle"), "layer2"),
    "cats_dogs": (("classes",), ("article", "gentle", "thirds"), "layer2"),
    "example": (("clusters", "labels"), ("article", "upright"), "layer1"),
}
COLUMNS = (
    "strategy", "pipeline", "guard", "copies", "redrawn", "by fallback", "labels seen", "seconds", "mAP", "mAP gain",
    "macro F1", "macro F1 gain",
)  # fmt: skip
COMPUTE = Compute(torch.device("cpu"), WORKERS)


@dataclass(frozen=True)
class Project:
    """A project after the stage cluster: its params, its train and test images, and what probes are fitted to."""

    folder: Path
    params: Params
    judge_layer: str

    @cached_property
    def table(self) -> pd.DataFrame:
        """The manifest with clusters."""
        return manifest.read(self.folder / "features/clusters.csv")

    @cached_property
    def train(self) -> pd.DataFrame:
        """The train rows."""
        return manifest.rows_of_split(self.table, "train")

    @cached_property
    def cache(self) -> Cache:
        """Keeps copies and features, so that a seed's draws are made once for all configurations."""
        return Cache(self.folder / ".counterweight", 20_000_000_000)

    def extractor(self, layer: str | None) -> FeatureExtractor:
        """Build the network up to a layer."""
        config = replace(FeatureConfig(**self.params.features.model_dump()), layer=layer)
        return build_feature_extractor(config, self.files("train"), COMPUTE, self.cache)

    def files(self, split: str) -> ImageFiles:
        """Return the images of a split."""
        return ImageFiles.of_rows(manifest.rows_of_split(self.table, split), self.folder / "data/resized")

    def guard(self, extractor: FeatureExtractor) -> LabelGuard:
        """Fit probes to the train images."""
        config = GuardConfig.from_params(self.params.augment.model_dump(), self.params.data.task, self.image_format)
        assert config is not None
        ids = self.train["image_id"].tolist()
        groups, _ = image_groups(ids, pd.read_csv(self.folder / "data/duplicates.csv", dtype={"image_id": "str"}))
        features, targets = extractor.features(self.files("train")), manifest.targets(self.train)
        data = ProbeData(config.task, ids, manifest.label_names(self.train), features, targets, {}, {})
        return fit_label_guard(extractor.features, data, groups, config, WORKERS)

    @property
    def image_format(self) -> str:
        """The format of resized images and copies."""
        return self.params.resize.format

    def copy(
        self, strategy: str, config: CopyConfig, guard: LabelGuard | None, folder: Path, cache: Cache
    ) -> list[MadeCopy]:
        """Make the copies of a strategy, with the seed of a configuration."""
        augment = self.params.augment.model_dump() | {"seed": config.seed}
        plan = build_plan(strategy, TrainImages.of_rows(self.train), AllocationConfig.from_params(augment))
        return make_copies(
            plan, train_sources(self.table), resized=self.folder / "data/resized", folder=folder, config=config,
            cache=cache, workers=WORKERS, guard=guard,
        ).copies  # fmt: skip


def measure(data: Path, names: Sequence[str] = ()) -> None:
    """Measure some data sets, by default all, and write the section of each."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, changes in datasets(data, Path(temporary)).items():
            if name in TRIED and (not names or name in names):
                started = time.perf_counter()
                strategies, pipelines, layer = TRIED[name]
                project = clustered(Path(temporary) / name, changes, layer)
                table = compare(project, strategies, pipelines, Path(temporary) / "copies")
                measured = measured_by(f"benchmarks.copies {name}", ("torch", "imaug"), time.perf_counter() - started)
                text = table.astype(object).where(table.notna(), "").to_markdown(index=False, floatfmt=".3f")
                write_section(f"copies of {name}", f"### {name}\n\n{measured}\n\n{text}\n")


def clustered(folder: Path, changes: Mapping[str, Any], judge_layer: str) -> Project:
    """Run the stages up to cluster in a new project."""
    make_workspace(folder, changes)
    run(folder, "dvc", "repro", "cluster")
    return Project(folder, load_params(folder / "params.yaml"), judge_layer)


def compare(project: Project, strategies: Sequence[str], pipelines: Sequence[str], scratch: Path) -> pd.DataFrame:
    """Return one row per strategy, pipeline and guard."""
    extractor = project.extractor(project.params.features.layer)
    guard, judge = project.guard(extractor), project.guard(project.extractor(project.judge_layer))
    classifier = Classifier(project, extractor, guard.data.features)
    nothing = classifier.without_copies()
    row_of = {image: row for row, image in enumerate(guard.data.image_ids)}
    rows: list[dict[str, Any]] = [{"strategy": "nothing"} | classifier.metrics([nothing], [nothing])]
    for strategy in strategies:
        for pipeline, guarded in [*((name, flag) for name in pipelines for flag in (False, True)), ("plain", False)]:
            shares, scores, seconds, counts = [], [], 0.0, np.zeros(3, dtype=int)
            for seed in range(SEEDS):
                augment = project.params.augment.model_dump() | {"seed": seed}
                config = CopyConfig.from_params(augment, project.image_format, pipeline)
                # The first seed is timed from an empty cache; the others share their draws.
                cache = (
                    project.cache if seed else Cache(project.folder / f"cache/{strategy}-{pipeline}-{guarded}", 10**10)
                )
                judging = replace(guard, extract=replace(extractor, cache=cache).features) if guarded else None
                started = time.perf_counter()
                copies = project.copy(strategy, config, judging, scratch, cache)
                seconds = seconds or time.perf_counter() - started
                counts += np.array([(1, bool(each.rejections), each.by_fallback) for each in copies]).sum(axis=0)
                files = ImageFiles([scratch / each.path for each in copies], [each.checksum for each in copies])
                sources = np.array([row_of[each.source.image_id] for each in copies], dtype=np.intp)
                shares.append(share_seen(judge, files, sources))
                scores.append(classifier.test_scores(extractor.features(files), classifier.y_train[sources]))
            of_all = counts / SEEDS
            rows.append(
                {"strategy": strategy, "pipeline": pipeline, "guard": "yes" if guarded else "no",
                 "copies": round(of_all[0]), "redrawn": of_all[1] / of_all[0], "by fallback": of_all[2] / of_all[0],
                 "labels seen": float(np.mean(shares)), "seconds": seconds}
                | classifier.metrics(scores, [nothing] * SEEDS)
            )  # fmt: skip
            print(rows[-1], flush=True)  # noqa: T201
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"copies": "Int64"})


def share_seen(judge: LabelGuard, files: ImageFiles, sources: NDArray[np.intp]) -> float:
    """Return how many of the inherited labels are seen on copies, as a fraction of those seen on their sources."""
    decision = decisions.DEPLOYED[judge.data.task]
    inherited = judge.data.targets[sources] == 1
    originals = standardize(judge.data.features[sources], judge.reference)
    copies, seen = standardize(judge.extract(files), judge.reference), np.zeros(2)
    for number, fold in enumerate(judge.probes):
        chosen = judge.fold_of[sources] == number
        for i, features in enumerate((originals, copies)):
            found = fold.by_training[Training()].rule.apply(fold.probe.scores(features[chosen]), decision)
            seen[i] += (found & inherited[chosen]).sum()
    return float(seen[1] / seen[0])


class Classifier:
    """A linear classifier of originals and copies, judged on the test images."""

    def __init__(self, project: Project, extractor: FeatureExtractor, features: Features) -> None:
        self.task = project.params.data.task
        self.labels, self.y_train = manifest.label_names(project.train), manifest.targets(project.train)
        self.reference, self.train = features, standardize(features, features)
        self.y_test = manifest.targets(manifest.rows_of_split(project.table, "test"))
        self.test = standardize(extractor.features(project.files("test")), features)
        validation = manifest.rows_of_split(project.table, "val")
        self.y_val = manifest.targets(validation)
        self.val = standardize(extractor.features(project.files("val")), features)

    def without_copies(self) -> NDArray[np.float64]:
        """Return `test_scores` without copies."""
        return self.test_scores(self.train[:0], self.y_train[:0])

    def test_scores(self, copies: Features, y_copies: NDArray[np.integer]) -> NDArray[np.float64]:
        """Fit to all train images and copies, with the penalty that is best on the validation images."""
        features = np.concatenate([self.train, standardize(copies, self.reference)])
        y_true = np.concatenate([self.y_train, y_copies])
        cells = (y_true >= 0).astype(np.float64)
        fits = [
            fit_linear_probe(features, y_true, cells, penalty=penalty, is_single_label=self.task != "multilabel")
            for penalty in PENALTIES
        ]
        best = min(fits, key=lambda fit: log_loss(fit.scores(self.val), self.y_val).mean())
        return best.scores(self.test)

    def metrics(self, scores: Sequence[NDArray[np.float64]], baseline: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
        """Return mAP and macro F1, and how much higher they are, with 95 % intervals over test images and seeds."""
        rng, found = np.random.default_rng(0), np.empty((SAMPLES, 2))
        for sample in found:
            images, seed = rng.integers(0, len(self.y_test), len(self.y_test)), int(rng.integers(0, len(scores)))
            pair = [self._measure(each[seed][images], images) for each in (scores, baseline)]
            sample[:] = pair[0] - pair[1]
        every = np.arange(len(self.y_test))
        here, there = (np.mean([self._measure(each, every) for each in part], axis=0) for part in (scores, baseline))
        low, high = np.nanquantile(found, [0.025, 0.975], axis=0)
        result: dict[str, Any] = {}
        for i, name in enumerate(("mAP", "macro F1")):
            result |= {name: here[i], f"{name} gain": f"{here[i] - there[i]:+.3f} [{low[i]:+.3f}, {high[i]:+.3f}]"}
        return result

    def _measure(self, scores: NDArray[np.float64], images: NDArray[np.intp]) -> NDArray[np.float64]:
        y_true = self.y_test[images]
        decision: str | float = 0.5 if self.task == "multilabel" else decisions.ARGMAX
        rule = decisions.DecisionRule(self.task, self.labels, None, 0.5, dict.fromkeys(self.labels, 0.5))
        f1 = label_rates(y_true, rule.apply(scores, decision)).f1
        return np.array([np.nanmean(average_precisions(y_true, scores)), np.mean(f1)])


if __name__ == "__main__":
    parser = data_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="data set")
    arguments = parser.parse_args()
    measure(arguments.data.resolve(), arguments.names)
