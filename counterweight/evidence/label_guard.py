"""The label guard: whether copies still show the labels that they inherit, by linear probes on features."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from counterweight.augmentation.allocation import MadeCopy
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.augmentation.guarded_drawing import HIDDEN_COLUMNS
from counterweight.base import manifest
from counterweight.evidence.cross_validation import Fold, ProbeData, cross_validate
from counterweight.evidence.folds import draw_sample, image_groups, repeated_folds
from counterweight.evidence.linear_probe import Features, standardize
from counterweight.evidence.remedies import Training
from counterweight.metrics import decisions
from counterweight.networks.feature_extractor import FeatureExtractor
from counterweight.networks.loader import ImageFiles

log = logging.getLogger(__name__)

_FOLDS = 5
# Groups of duplicates, one of one image included, below which a probe cannot be judged.
MIN_GROUPS = 50
MAX_IMAGES, MAX_LABELS, LABELS_AT_FULL_SIZE = 10_000, 100, 40  # See `draw_sample`.
# Numbers that are judged at a time. The cache of features is searched for each part, so they must not be few.
_NUMBERS_AT_ONCE = 2**24


@dataclass(frozen=True)
class GuardConfig:
    """When a copy shows its labels.

    Attributes
    ----------
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    min_score : float
        Fraction of the source's score that a copy must reach for each label.
    min_similarity : float
        Cosine of the features of copy and source that a copy must reach.
    max_draws : int
        Attempts per copy by the pipeline, and as many by the fallback.
    fallback : CopyConfig or None
        How a copy is made if no draw of the pipeline shows the labels.
    """

    task: str
    min_score: float
    min_similarity: float
    max_draws: int
    fallback: CopyConfig | None

    @classmethod
    def from_params(cls, augment: Mapping[str, Any], task: str, image_format: str) -> Self | None:
        """Read the section ``augment`` of params.yaml; None if its ``guard`` is null."""
        if augment["guard"] is None:
            return None
        guard = dict(augment["guard"])
        name = guard.pop("fallback")
        return cls(task, **guard, fallback=name and CopyConfig.from_params(augment, image_format, name))


@dataclass(frozen=True)
class LabelGuard:
    """Probes that have not seen a copy's source, and the network that extracts the features.

    Attributes
    ----------
    extract : callable
        Maps image files to features, float32 of shape (n_files, n_features).
    data : ProbeData
        The train images; their features are not standardized.
    reference : array of float32, shape (n_sampled, n_features)
        Features that copies and sources are standardized like.
    probes : sequence of Fold
        The result of `counterweight.evidence.cross_validation.cross_validate` on a sample.
    fold_of : array of int, shape (n_images,)
        The probe for each train image.
    judged : array of int, shape (n_judged,)
        The labels that the probes know. Any other is judged by similarity alone, as one that the source hides.
    config : GuardConfig
        Limits.
    """

    extract: Callable[[ImageFiles], Features]
    data: ProbeData
    reference: Features
    probes: Sequence[Fold]
    fold_of: NDArray[np.intp]
    judged: NDArray[np.intp]
    config: GuardConfig

    @property
    def max_draws(self) -> int:
        """Attempts per copy by the pipeline, and as many by the fallback."""
        return self.config.max_draws

    @property
    def fallback(self) -> CopyConfig | None:
        """How a copy is made if no draw of the pipeline shows the labels."""
        return self.config.fallback

    def __call__(self, copies: Sequence[MadeCopy], folder: Path) -> NDArray[np.float64]:
        """Return how well copies show their labels.

        Returns
        -------
        array of float, shape (n_copies,)
            The lowest of the score of each label that is seen on the source, divided by the least that it must reach,
            and of the similarity of copy and source, divided by the least that it must reach. At least 1 if the copy
            shows its labels, as a copy with the bytes of its source does; infinite if it has none.
        """
        rows = self._rows([copy.source.image_id for copy in copies])
        parts = [self._judge(copies[part], folder, rows[part]) for part in self._parts(len(rows))]
        return np.concatenate(parts) if parts else np.empty(0)

    def _parts(self, count: int) -> list[slice]:
        """Divide rows so that the features of millions of copies need little memory."""
        size = max(_NUMBERS_AT_ONCE // self.data.features.shape[1], 1)
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _judge(self, copies: Sequence[MadeCopy], folder: Path, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        files = ImageFiles([folder / copy.path for copy in copies], [copy.checksum for copy in copies])
        both = standardize(np.concatenate([self.extract(files), self.data.features[rows]]), self.reference)
        features, sources = np.split(both, [len(rows)])
        of_all = self.data.targets[rows] == 1
        inherited = of_all[:, self.judged]
        of_sources, seen = self._scores(sources, rows)
        of_copies, _ = self._scores(features, rows)
        shown = np.full(inherited.shape, np.inf)
        np.divide(of_copies, self.config.min_score * of_sources, out=shown, where=inherited & seen)
        lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(sources, axis=1)
        similarity = (features * sources).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
        # A probe says nothing of an image that is unlike all that it knows, such as one full of noise.
        alike = np.where(of_all.any(axis=1), similarity / self.config.min_similarity, np.inf)
        least: NDArray[np.float64] = np.minimum(shown.min(axis=1), alike)
        same = np.array([copy.checksum == copy.source.checksum for copy in copies])
        return np.where(same, np.maximum(least, 1), least)

    def hidden_labels(self, image_ids: Sequence[str]) -> pd.DataFrame:
        """List labels that images themselves do not show: hard images, or wrong labels.

        Returns
        -------
        pandas.DataFrame
            One row per image and label, in the order of the images: ``image_id``, ``label`` and the probe's ``score``,
            rounded to four digits.
        """
        rows, found = self._rows(image_ids), []
        for part in self._parts(len(rows)):
            features = standardize(self.data.features[rows[part]], self.reference)
            scores, seen = self._scores(features, rows[part])
            for i, j in np.argwhere((self.data.targets[np.ix_(rows[part], self.judged)] == 1) & ~seen):
                label = self.data.labels[self.judged[j]]
                found.append((image_ids[part.start + i], label, round(float(scores[i, j]), 4)))
        return pd.DataFrame(found, columns=list(HIDDEN_COLUMNS))

    def _rows(self, image_ids: Sequence[str]) -> NDArray[np.intp]:
        row_of = {image: row for row, image in enumerate(self.data.image_ids)}
        return np.array([row_of[image] for image in image_ids], dtype=np.intp)

    def _scores(self, features: Features, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return scores and whether each judged label is seen, for train rows, by probes that do not know these."""
        decision = decisions.DEPLOYED[self.data.task]
        scores, seen = np.zeros(shape := (len(rows), len(self.judged))), np.zeros(shape, np.bool_)
        with threadpool_limits(1):  # The number of threads changes sums, so the last digits.
            for number, fold in enumerate(self.probes):
                chosen = np.flatnonzero(self.fold_of[rows] == number)
                scores[chosen] = fold.probe.scores(features[chosen])
                seen[chosen] = fold.by_training[Training()].rule.apply(scores[chosen], decision)
        return scores, seen


def build_label_guard(
    train: pd.DataFrame,
    features: Features,
    duplicates: pd.DataFrame,
    extractor: FeatureExtractor,
    config: GuardConfig | None,
) -> LabelGuard | None:
    """Build the guard of a dataset.

    Parameters
    ----------
    train : pandas.DataFrame
        The train rows of a manifest.
    features : array of float32, shape (n_images, n_features)
        Of the train images, not standardized.
    duplicates : pandas.DataFrame
        The result of `counterweight.dataset.duplicates.duplicates_table`. The probe of an image is fitted to none of
        its duplicates.
    extractor : FeatureExtractor
        What extracted the features.
    config : GuardConfig or None
        Limits.

    Returns
    -------
    LabelGuard or None
        None without limits, if features cannot show labels because their weights are random, or if the images are too
        few to judge.
    """
    if config is None:
        return None
    ids = train["image_id"].tolist()
    (groups, _), problem = image_groups(ids, duplicates), ""
    if extractor.is_random:
        problem = "features of random weights show color and texture, but no labels. Set features.weights"
    elif groups.max() + 1 < MIN_GROUPS:
        problem = f"{groups.max() + 1} different images or groups are too few to judge by. Give it {MIN_GROUPS} or more"
    if problem:
        log.warning("augment.guard is off: %s", problem)
        return None
    data = ProbeData(config.task, ids, manifest.label_names(train), features, manifest.targets(train), {}, {})
    return fit_label_guard(extractor.features, data, groups, config, extractor.compute.workers)


def fit_label_guard(
    extract: Callable[[ImageFiles], Features], data: ProbeData, groups: NDArray[np.intp], config: GuardConfig,
    workers: int,
) -> LabelGuard:  # fmt: skip
    """Fit the probes of a guard to some images and labels, see `draw_sample`.

    Parameters
    ----------
    extract, data, config
        See `LabelGuard`.
    groups : array of int, shape (n_images,)
        Group of each image, such as duplicates. The probe of an image is fitted to no image of its group.
    workers : int
        Number of processes, which does not affect the result.
    """
    sample, judged = draw_sample(data.targets, data.task, MAX_IMAGES, MAX_LABELS, LABELS_AT_FULL_SIZE, seed=0)
    reference = np.asarray(data.features[sample])
    sampled = ProbeData(
        data.task, [data.image_ids[row] for row in sample], [data.labels[j] for j in judged],
        standardize(reference, reference), data.targets[np.ix_(sample, judged)], {}, {},
    )  # fmt: skip
    folds = repeated_folds(sampled.targets, groups[sample], n_folds=_FOLDS, n_repeats=1, seed=0)
    probes = cross_validate(sampled, folds, [Training()], tuned=[Training()], workers=workers)
    # A group is in one fold. No probe knows the groups outside the sample, so any may judge them.
    fold_of_group = dict(zip(groups[sample].tolist(), folds[0].tolist(), strict=True))
    fold_of = np.array([fold_of_group.get(group, 0) for group in groups.tolist()], dtype=np.intp)
    return LabelGuard(extract, data, reference, probes, fold_of, judged, config)
