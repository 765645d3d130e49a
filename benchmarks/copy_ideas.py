"""Two ideas beside the guard: changes that spare the part of an image on which its labels rest, and context copies.

    python -m benchmarks.copy_ideas [--data ../shared] [scenes] [cats_dogs] [example]

`spared` copies are KeepAugment's (Gong et al., CVPR 2021): a quarter of the image is put back after the pipeline, where
the classifiers of the guard look for the labels (class activation on the last maps). `context` copies set that quarter
of an image with a rare label on an image without (Park et al., CVPR 2022), and have the labels of both that are still
seen. With `guard`, copies that hide a label of their source are replaced by the source. They are judged as in
`benchmarks.copies`; the table goes into benchmarks/README.md.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from benchmarks.common import data_parser, measured_by, write_section
from benchmarks.copies import SEEDS, TRIED, Classifier, Project, clustered
from benchmarks.ranking import datasets
from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.evidence.label_guard import LabelGuard
from counterweight.evidence.linear_probe import standardize
from counterweight.evidence.remedies import Training
from counterweight.images import codec
from counterweight.images.geometry import Pixels, network_view
from counterweight.metrics import decisions
from counterweight.metrics.imbalance import irlbl, mean_ir
from counterweight.networks.backbones import Backbone
from counterweight.networks.feature_extractor import FeatureExtractor
from counterweight.networks.loader import ImageFiles
from counterweight.networks.weights import load_weights

IDEAS = (("spared", "article"), ("spared", "gentle"), ("context", "plain"))
COLUMNS = ("idea", "pipeline", "guard", "copies", "replaced", "mAP", "mAP gain", "macro F1", "macro F1 gain")


@dataclass(frozen=True)
class Made:
    """Copies by an idea: their files, the rows of their sources, and their labels."""

    files: ImageFiles
    sources: NDArray[np.intp]
    targets: NDArray[np.integer]


class Trial:
    """A data set with what the ideas need: where labels rest, and what is still seen."""

    def __init__(self, project: Project, scratch: Path) -> None:
        features = project.params.features
        self.project, self.scratch = project, scratch
        self.extractor: FeatureExtractor = project.extractor(features.layer)
        self.guard: LabelGuard = project.guard(self.extractor)
        self.classifier = Classifier(project, self.extractor, self.guard.data.features)
        self.originals = project.files("train")
        self.network = Backbone(features.model, features.layer, self.extractor.preprocessing.size)
        load_weights(self.network, features.weights)
        self.network.eval()
        self.deviation = self.guard.reference.std(axis=0) + 1e-12
        counts = (self.guard.data.targets == 1).sum(axis=0)
        if self.guard.data.task == "multilabel":
            self.is_rare = irlbl(self.guard.data.targets) > mean_ir(self.guard.data.targets)
        else:
            self.is_rare = counts < counts.max()
        self.row_of = {image: row for row, image in enumerate(self.guard.data.image_ids)}

    def source(self, row: int) -> Pixels:
        """Read a train image."""
        return codec.read(self.originals.paths[row], self.originals.checksums[row])

    def box(self, row: int) -> tuple[slice, slice]:
        """Return the part of half the height and width that shows the labels of a train image most clearly."""
        pixels = self.source(row)
        view = network_view(pixels, self.extractor.preprocessing.crop, self.extractor.preprocessing.size)
        with torch.inference_mode():
            maps = self.network.feature_maps(torch.from_numpy(view.copy())[None])[0].numpy()
        probe = self.guard.probes[self.guard.fold_of[row]].probe
        inherited = self.guard.data.targets[row] == 1
        weights = probe.coefficients[:-1, inherited] / self.deviation[:, None]
        activation = np.maximum(np.tensordot(weights, maps, axes=(0, 0)), 0)
        activation /= np.maximum(activation.max(axis=(1, 2), keepdims=True), 1e-12)
        height, width = maps.shape[1:]
        near = uniform_filter(activation.sum(axis=0), size=(height // 2, width // 2), mode="constant")
        best = np.unravel_index(near.argmax(), near.shape)
        parts = []
        for center, cells, length in zip(best, maps.shape[1:], pixels.shape[:2], strict=True):
            start = int(np.clip((center + 0.5) / cells * length - length / 4, 0, length - length // 2))
            parts.append(slice(start, start + length // 2))
        return parts[0], parts[1]

    def make(self, idea: str, pipeline: str, seed: int) -> Made:
        """Make the copies of an idea."""
        augment = self.project.params.augment.model_dump() | {"seed": seed}
        config = CopyConfig.from_params(augment, "png", pipeline)
        strategy = "labels" if self.guard.data.task == "multilabel" else "classes"
        copies = self.project.copy(strategy, config, None, self.scratch / "copies", self.project.cache)
        rows = np.array([self.row_of[copy.source.image_id] for copy in copies], dtype=np.intp)
        common = np.flatnonzero(~(self.guard.data.targets[:, self.is_rare] == 1).any(axis=1))
        behind = np.random.default_rng(seed).choice(common, len(rows))
        boxes, checksums, paths = {row: self.box(row) for row in np.unique(rows).tolist()}, [], []
        for copy, row, other in zip(copies, rows.tolist(), behind.tolist(), strict=True):
            changed = self.source(other) if idea == "context" else self._pixels(copy)
            changed = changed.copy()
            changed[boxes[row]] = self.source(row)[boxes[row]]
            paths.append((self.scratch / "ideas" / copy.path).with_suffix(".png"))
            checksums.append(codec.write(changed, paths[-1], "png"))
        files, targets = ImageFiles(paths, checksums), self.guard.data.targets[rows]
        if idea == "context":
            targets = ((targets == 1) | (self.guard.data.targets[behind] == 1)) & self.seen(files, rows)
        return Made(files, rows, targets.astype(np.int8))

    def _pixels(self, copy: MadeCopy) -> Pixels:
        return codec.read(self.scratch / "copies" / copy.path, copy.checksum)

    def seen(self, files: ImageFiles, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which labels the classifiers see on files that were made from train images."""
        decision = decisions.DEPLOYED[self.guard.data.task]
        features, found = standardize(self.extractor.features(files), self.guard.reference), []
        for row, of_file in zip(rows.tolist(), features, strict=True):
            fold = self.guard.probes[self.guard.fold_of[row]]
            found.append(fold.by_training[Training()].rule.apply(fold.probe.scores(of_file[None]), decision)[0])
        return np.stack(found)

    def hide_labels(self, made: Made) -> NDArray[np.bool_]:
        """Return which copies hide a label of their source, as the guard judges."""
        originals, copies = self.originals, []
        for path, checksum, row in zip(made.files.paths, made.files.checksums, made.sources.tolist(), strict=True):
            source = Source(self.guard.data.image_ids[row], str(originals.paths[row]), originals.checksums[row])
            copies.append(MadeCopy(str(path), str(path), source, checksum, ()))
        return self.guard(copies, Path("/")) < 1


def measure(data: Path, names: Sequence[str] = ()) -> None:
    """Measure some data sets, by default all, and write the section of each."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, changes in datasets(data, Path(temporary)).items():
            if name in TRIED and (not names or name in names):
                started = time.perf_counter()
                trial = Trial(clustered(Path(temporary) / name, changes, TRIED[name][2]), Path(temporary) / "scratch")
                table = compare(trial)
                measured = measured_by(f"benchmarks.copy_ideas {name}", ("torch",), time.perf_counter() - started)
                text = table.astype(object).where(table.notna(), "").to_markdown(index=False, floatfmt=".3f")
                write_section(f"ideas on {name}", f"### {name}\n\n{measured}\n\n{text}\n")


def compare(trial: Trial) -> pd.DataFrame:
    """Return one row per idea, pipeline and guard."""
    classifier, nothing = trial.classifier, trial.classifier.without_copies()
    rows: list[dict[str, Any]] = [{"idea": "nothing"} | classifier.metrics([nothing], [nothing])]
    for idea, pipeline in IDEAS:
        scores: dict[bool, list[NDArray[np.float64]]] = {False: [], True: []}
        hidden = []
        for seed in range(SEEDS):
            made = trial.make(idea, pipeline, seed)
            features, hides = trial.extractor.features(made.files), trial.hide_labels(made)
            hidden.append(hides.mean())
            scores[False].append(classifier.test_scores(features, made.targets))
            # The source itself, with its labels, instead.
            features[hides] = trial.guard.data.features[made.sources[hides]]
            targets = np.where(hides[:, None], trial.guard.data.targets[made.sources], made.targets)
            scores[True].append(classifier.test_scores(features, targets))
        for guarded, of_seeds in scores.items():
            rows.append(
                {"idea": idea, "pipeline": pipeline, "guard": "yes" if guarded else "no", "copies": len(made.sources),
                 "replaced": np.mean(hidden) if guarded else 0.0} | classifier.metrics(of_seeds, [nothing] * SEEDS)
            )  # fmt: skip
            print(rows[-1], flush=True)  # noqa: T201
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"copies": "Int64"})


if __name__ == "__main__":
    parser = data_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="data set")
    arguments = parser.parse_args()
    measure(arguments.data.resolve(), arguments.names)
