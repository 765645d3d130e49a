"""Cross-validate the linear probe under several trainings, with copies always in their source's fold."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from joblib import delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from counterweight.evidence.linear_probe import (
    Features,
    LinearProbe,
    cell_weights,
    fit_linear_probe,
    log_loss,
    principal_axes,
)
from counterweight.evidence.remedies import Training
from counterweight.metrics import decisions
from counterweight.metrics.decisions import DecisionRule
from counterweight.runtime.parallel import run_tasks

# Penalties of `fit_linear_probe` to choose from, the strongest first: each fit starts from the one before.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
Penalties = NDArray[np.float64]
# Inner folds that choose the penalty; more of them cost time and change no second digit of it.
_PENALTY_FOLDS = 2
# Fractions of the train images in learning curves.
FRACTIONS = (0.3, 0.6, 1.0)


@dataclass(frozen=True)
class CopyFeatures:
    """Features of copies.

    Attributes
    ----------
    features : array of float32, shape (n_copies, n_features)
        Standardized like those of the images.
    sources : array of int, shape (n_copies,)
        Row of each copy's source.
    """

    features: Features
    sources: NDArray[np.intp]


@dataclass(frozen=True)
class ProbeData:
    """The images and copies that the probe is fitted to and evaluated on.

    Attributes
    ----------
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    image_ids, labels : sequence of str
        Names of the rows and columns of ``targets``.
    features : array of float32, shape (n_images, n_features)
        Standardized.
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    wanted : mapping of str to array of int, shape (n_images,)
        Copies of each image, by strategy.
    copies : mapping of str to CopyFeatures
        By pipeline, weighted to represent all copies that a strategy wants, or by an augmenter alone.
    """

    task: str
    image_ids: Sequence[str]
    labels: Sequence[str]
    features: Features
    targets: NDArray[np.integer]
    wanted: Mapping[str, NDArray[np.int64]]
    copies: Mapping[str, CopyFeatures]

    @property
    def is_single_label(self) -> bool:
        """Whether an image has exactly one label."""
        return self.task != "multilabel"

    def rotated(self, axes: Features) -> "ProbeData":
        """Return the same with features along other axes, ``features @ axes``."""
        copies = {name: CopyFeatures(each.features @ axes, each.sources) for name, each in self.copies.items()}
        return replace(self, features=self.features @ axes, copies=copies)


@dataclass(frozen=True)
class HeldOut:
    """What a probe says of the images that it was not fitted to.

    Attributes
    ----------
    scores : array of float, shape (n_held_out, n_labels)
    rule : DecisionRule
        With thresholds tuned on the other folds, or of 0.5.
    """

    scores: NDArray[np.float64]
    rule: DecisionRule


@dataclass(frozen=True)
class Fold:
    """The probe's results on one fold.

    Attributes
    ----------
    rows : array of int, shape (n_held_out,)
        The held-out images.
    by_training : dict of Training to HeldOut
    by_fraction : dict of float to array of float, shape (n_held_out, n_labels)
        Scores without any remedy, by the fraction of the other images that the probe was fitted to.
    of_copies : dict of str to array of float, shape (n_copies_of_held_out, n_labels)
        Scores, without any remedy, of the copies of the held-out images.
    probe : LinearProbe
        Fitted to the other images without any remedy.
    """

    rows: NDArray[np.intp]
    by_training: dict[Training, HeldOut]
    by_fraction: dict[float, NDArray[np.float64]]
    of_copies: dict[str, NDArray[np.float64]]
    probe: LinearProbe


def cross_validate(
    data: ProbeData,
    folds: NDArray[np.intp],
    trainings: Collection[Training],
    *,
    tuned: Collection[Training] = (),
    workers: int,
) -> list[Fold]:
    """Fit the probe under each training to all folds but one, and apply it to that one.

    The penalty is chosen within the other folds, once without weights and once with weights. The result is the same for
    any number of workers.

    Parameters
    ----------
    data : ProbeData
        The images.
    folds : array of int, shape (n_repeats, n_images)
        The result of `counterweight.evidence.folds.repeated_folds`.
    trainings, tuned : collections of Training
        The trainings to compare, and those whose thresholds are tuned, which takes five times as long.
    workers : int
        Number of processes.

    Returns
    -------
    list of Fold
        All folds of the first repeat, then those of the next.
    """
    jobs = [(of_repeat, fold) for of_repeat in folds for fold in range(of_repeat.max() + 1)]
    with threadpool_limits(1):  # The number of threads changes sums, so the last digits.
        axes = principal_axes(data.features)
        rotated = data.rotated(axes)
    evaluate = delayed(_evaluate_fold)
    tasks = [evaluate(rotated, of_repeat, fold, list(trainings), set(tuned)) for of_repeat, fold in jobs]
    return [replace(each, probe=each.probe.unrotated(axes)) for each in run_tasks(tasks, workers)]


def _evaluate_fold(
    data: ProbeData, folds: NDArray[np.intp], fold: int, trainings: Sequence[Training], tuned: AbstractSet[Training]
) -> Fold:
    train, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    positive = decisions.rarest(data.labels, (data.targets[train] == 1).sum(axis=0)) if data.task == "binary" else None
    untuned = DecisionRule(data.task, list(data.labels), positive, 0.5, dict.fromkeys(data.labels, 0.5))
    by_training = {}
    with threadpool_limits(1):
        penalties = {
            balanced: _choose_penalty(data, train, folds, Training(balanced))
            for balanced in {False, *(training.balanced for training in trainings)}
        }
        plain = _fit(data, train, Training(), penalties[False], None)
        for training in trainings:
            penalty, rule = penalties[training.balanced], untuned
            if training in tuned:
                scores = _out_of_fold_scores(data, train, folds, training, penalty)
                rule = decisions.tune(data.targets[train], scores[train], data.labels, data.task, positive)
            probe = plain if training == Training() else _fit(data, train, training, penalty, None)
            by_training[training] = HeldOut(probe.scores(data.features[held_out]), rule)
        order = np.random.default_rng(fold).permutation(train)
        by_fraction = {}
        for fraction in FRACTIONS:
            part = order[: max(round(fraction * len(order)), 1)]
            by_fraction[fraction] = _fit(data, part, Training(), penalties[False], None).scores(data.features[held_out])
        of_copies = {
            name: plain.scores(copies.features[np.isin(copies.sources, held_out)])
            for name, copies in data.copies.items()
        }
    return Fold(held_out, by_training, by_fraction, of_copies, plain)


def _inner_folds(train: NDArray[np.intp], folds: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the rows of each fold among the train rows, and the others."""
    return [(train[folds[train] == fold], train[folds[train] != fold]) for fold in np.unique(folds[train])]


def _out_of_fold_scores(
    data: ProbeData, train: NDArray[np.intp], folds: NDArray[np.intp], training: Training, penalty: Penalties
) -> NDArray[np.float64]:
    """Return scores of the train rows, each by a probe that was not fitted to its fold; the other rows are 0."""
    scores, probe = np.zeros(data.targets.shape), None
    for rows, rest in _inner_folds(train, folds):
        probe = _fit(data, rest, training, penalty, probe)
        scores[rows] = probe.scores(data.features[rows])
    return scores


def _choose_penalty(data: ProbeData, train: NDArray[np.intp], folds: NDArray[np.intp], training: Training) -> Penalties:
    """Return the penalty of each label with the lowest log loss over the inner folds; of classes, one for all."""
    losses = np.zeros((len(PENALTIES), len(data.labels)))
    for rows, rest in _inner_folds(train, folds)[:_PENALTY_FOLDS]:
        probe = None
        for i, penalty in enumerate(PENALTIES):
            probe = _fit(data, rest, training, np.full(len(data.labels), penalty), probe)
            # Not weighted, even if the training is: the few cells that then count most would choose by chance.
            losses[i] += len(rows) * log_loss(probe.scores(data.features[rows]), data.targets[rows])
    if data.is_single_label:
        losses[:] = losses.sum(axis=1, keepdims=True)
    penalties: Penalties = np.take(PENALTIES, losses.argmin(axis=0))
    return penalties


def _fit(
    data: ProbeData, rows: NDArray[np.intp], training: Training, penalty: Penalties, start: LinearProbe | None
) -> LinearProbe:
    """Fit a probe to images and to their copies."""
    features, targets, weights = data.features[rows], data.targets[rows], np.ones(len(rows))
    if training.strategy is not None and training.pipeline is None:
        weights += data.wanted[training.strategy][rows]
    elif training.strategy is not None and training.pipeline is not None:
        copies, wanted = data.copies[training.pipeline], data.wanted[training.strategy]
        chosen = np.flatnonzero(np.isin(copies.sources, rows) & (wanted[copies.sources] > 0))
        sources = copies.sources[chosen]
        each = wanted[sources] / np.bincount(sources, minlength=len(wanted))[sources]
        # Sources that were left out are represented by the others.
        each = each * (wanted[rows].sum() / max(each.sum(), 1))
        features = np.concatenate([features, copies.features[chosen]])
        targets, weights = np.concatenate([targets, data.targets[sources]]), np.concatenate([weights, each])
    single = data.is_single_label
    cells = cell_weights(targets, weights, balanced=training.balanced, is_single_label=single)
    return fit_linear_probe(features, targets, cells, penalty=penalty, is_single_label=single, start=start)
