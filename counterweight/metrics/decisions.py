"""Decision rules: how scores become labels and probabilities, tuned on validation and stored with the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import MAX_SHOWN, InputError, name_some
from counterweight.metrics.calibration import SIGMOID, SOFTMAX, Calibration, fit_calibration
from counterweight.metrics.platt import platt_threshold, platt_thresholds
from counterweight.metrics.thresholds import (
    argmax_mask,
    binary_threshold,
    class_thresholds,
    label_thresholds,
    tuned_threshold,
)

TUNED, PER_LABEL, ARGMAX = "tuned", "per_label", "argmax"
# The decision that represents a model by a single number: that of a user who has no threshold in mind.
HEADLINE = {"multilabel": TUNED, "binary": TUNED, "multiclass": ARGMAX}
# The decision that labels new images.
DEPLOYED = {"multilabel": PER_LABEL, "binary": TUNED, "multiclass": ARGMAX}
PLATT = "platt"
FILE = "decisions.json"
# Folders of an arm's models are named after their seeds.
SEED = "seed-"


@dataclass(frozen=True)
class DecisionRule:
    """The thresholds of a model, how they are applied, and the calibration of its scores.

    Attributes
    ----------
    task : str
        ``multilabel``: any number of labels per image. ``multiclass``: one of several. ``binary``: one of two.
    labels : list of str
        In the order of the columns of scores.
    positive : str or None
        The class that thresholds apply to in a binary task; None in other tasks.
    tuned, per_label : float, dict of str to float
        One threshold for all labels, and one per label; in a binary task only that of the positive class, which equals
        ``tuned``. They apply to scores, not to probabilities.
    calibration : Calibration or None
        Maps scores to probabilities; in a binary task, those of the positive class. None: the scores serve as they are.
    """

    task: str
    labels: list[str]
    positive: str | None
    tuned: float
    per_label: dict[str, float]
    calibration: Calibration | None = None

    def apply(self, scores: NDArray[np.floating], decision: float | str) -> NDArray[np.bool_]:
        """Predict labels from scores.

        Parameters
        ----------
        scores : array of float in [0, 1], shape (n_images, n_labels)
            Outputs of the model.
        decision : float or str
            A threshold, which predicted labels reach or exceed; or ``tuned``, ``per_label`` or ``argmax``, see
            `decision_names`. A binary task always predicts exactly one class. A multiclass task does so by ``argmax``,
            the highest score, and ``per_label``, the highest ratio of score to threshold; at a single threshold, each
            class is predicted independently (one-versus-rest).

        Returns
        -------
        array of bool, shape (n_images, n_labels)
        """
        if decision == ARGMAX and self.task != "multilabel":
            return argmax_mask(scores)
        if decision == PER_LABEL and self.task == "multiclass":
            return argmax_mask(scores / self._thresholds())
        if decision == PER_LABEL and self.task == "multilabel":
            return scores >= self._thresholds()
        threshold = self.tuned if decision == TUNED else decision
        if isinstance(threshold, str):
            raise ValueError(f"the task {self.task} has no decision {threshold!r}")
        if self.positive is None:
            return scores >= threshold
        column = self.labels.index(self.positive)
        is_positive = scores[:, [column]] >= threshold
        return np.where(np.arange(2) == column, is_positive, scores[:, [column]] < threshold)

    def probabilities(self, scores: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return calibrated scores, shape (n_images, n_labels), in [0, 1].

        They keep the order of scores. With one class per image, they sum to 1.
        """
        if self.calibration is None:
            return scores
        if self.positive is None:
            return self.calibration.apply(scores)
        column = self.labels.index(self.positive)
        positive = self.calibration.apply(scores[:, [column]])
        return np.where(np.arange(2) == column, positive, 1 - positive)

    def describe(self, decision: float | str) -> str:
        """Describe in words, with its thresholds, what `apply` does."""
        if decision == ARGMAX:
            return "the class with the highest score"
        each = name_some([f"{label} {threshold:g}" for label, threshold in self.per_label.items()], MAX_SHOWN)
        if decision == PER_LABEL and self.task == "multiclass":
            return f"the class with the highest ratio of score to threshold, tuned on validation: {each}"
        if decision == PER_LABEL:
            return f"each label that scores at least its threshold, tuned on validation: {each}"
        threshold = f"{self.tuned:g}, tuned on validation" if decision == TUNED else f"{decision:g}"
        if self.positive is None:
            return f"each label that scores at least {threshold}"
        return f"{self.positive} if it scores at least {threshold}; otherwise the other class"

    def describe_probabilities(self) -> str:
        """Describe in words what `probabilities` does, with the thresholds as probabilities."""
        if self.calibration is None:
            return "the scores as they are"
        if self.task == "multiclass":
            return "calibrated on validation"
        names = self.labels if self.positive is None else [self.positive]
        thresholds = self.calibration.apply(np.array([[self.per_label[name] for name in names]]))[0].tolist()
        each = name_some([f"{name} {value:.3g}" for name, value in zip(names, thresholds, strict=True)], MAX_SHOWN)
        return f"calibrated on validation, where the thresholds are {each}"

    def _thresholds(self) -> NDArray[np.float64]:
        return np.array([self.per_label[label] for label in self.labels])


def decision_names(task: str, thresholds: Sequence[float]) -> dict[str, float | str]:
    """Return every decision of a task, with fixed thresholds first, by the name under which its metrics are reported.

    Examples
    --------
    >>> decision_names("multilabel", [0.2, 0.5])
    {'0.2': 0.2, '0.5': 0.5, 'tuned': 'tuned', 'per_label': 'per_label'}
    >>> list(decision_names("multiclass", [0.5])), list(decision_names("binary", [0.5]))
    (['0.5', 'tuned', 'per_label', 'argmax'], ['0.5', 'tuned', 'argmax'])
    """
    named = {"multilabel": (TUNED, PER_LABEL), "multiclass": (TUNED, PER_LABEL, ARGMAX), "binary": (TUNED, ARGMAX)}
    return {f"{threshold:g}": threshold for threshold in thresholds} | {name: name for name in named[task]}


def is_single_label(task: str, name: str) -> bool:
    """Return whether the named decision predicts exactly one label per image."""
    return task == "binary" or (task == "multiclass" and name in (PER_LABEL, ARGMAX))


def rarest(labels: Sequence[str], counts: NDArray[np.integer]) -> str:
    """Return the label with the fewest images, the last of equal ones."""
    return labels[::-1][int(np.argmin(counts[::-1]))]


def summary(rule: DecisionRule) -> dict[str, float | str | dict[str, float]]:
    """Return the headline decision and the thresholds, for a metrics file."""
    positive = {} if rule.positive is None else {"positive": rule.positive}
    headline = {"headline": HEADLINE[rule.task], **positive}
    return {**headline, "tuned_threshold": rule.tuned, "thresholds": rule.per_label}


def seed_folders(models: Path) -> dict[int, Path]:
    """Return the folders of an arm's models, by seed, ascending; raise InputError if there is none."""
    folders = {int(folder.name.removeprefix(SEED)): folder for folder in models.glob(f"{SEED}[0-9]*")}
    if not folders:
        raise InputError(f"{models}: it contains no model. Run dvc repro, or name the folder that train wrote.")
    return dict(sorted(folders.items()))


def parse(content: Mapping[str, Any]) -> DecisionRule:
    """Build a rule from the content of its file; raise TypeError or ValueError if it is invalid."""
    fields = dict(content)
    calibration = fields.pop("calibration", None)
    return DecisionRule(**fields, calibration=None if calibration is None else Calibration(**calibration))


def read(folder: Path) -> DecisionRule:
    """Read the rule of a model's folder; raise InputError if the file is missing or invalid."""
    try:
        return parse(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: not a model: {FILE} is missing. Name the folder that train wrote.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder / FILE}: not a valid decision rule: {error}. Run dvc repro.") from None


def tune(
    y_true: NDArray[np.integer],
    scores: NDArray[np.floating],
    labels: Sequence[str],
    task: str,
    positive: str | None = None,
    *,
    metric: str = "f1",
) -> DecisionRule:
    """Tune the thresholds of a model on its validation rows.

    Parameters
    ----------
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    scores : array of float in [0, 1], shape (n_images, n_labels)
        Outputs of the model.
    labels, task, positive
        As in `DecisionRule`.
    metric : str
        The metric to maximize, ``f1`` or ``balanced_accuracy``; or ``platt``, see `counterweight.metrics.platt`.
    """
    if task == "binary":
        if positive is None or positive not in labels or len(labels) != 2:
            raise ValueError(f"a binary task needs two labels, one of them positive, not {positive} of {len(labels)}")
        column = list(labels).index(positive)
        if metric == PLATT:
            threshold = platt_threshold(y_true[:, [column]], scores[:, [column]])
        else:
            threshold = binary_threshold(y_true, scores, column, metric)
        return DecisionRule(task, list(labels), positive, threshold, {positive: threshold})
    if metric == PLATT:
        each, tuned = platt_thresholds(y_true, scores), platt_threshold(y_true, scores)
    else:
        each = (class_thresholds if task == "multiclass" else label_thresholds)(y_true, scores, metric)
        tuned = tuned_threshold(y_true, scores, metric)
    return DecisionRule(task, list(labels), None, tuned, dict(zip(labels, each.tolist(), strict=True)))


def calibrate(rule: DecisionRule, y_true: NDArray[np.integer], scores: NDArray[np.floating]) -> DecisionRule:
    """Return the rule with a calibration that is fitted to validation rows; arrays are those of `tune`.

    Labels are calibrated each for itself by Platt scaling, and so is the positive class of a binary task; several
    classes by one temperature and a bias each; see `counterweight.metrics.calibration.fit_calibration`.
    """
    kind = SOFTMAX if rule.task == "multiclass" else SIGMOID
    if rule.positive is not None:
        column = rule.labels.index(rule.positive)
        y_true, scores = y_true[:, [column]], scores[:, [column]]
    return replace(rule, calibration=fit_calibration(y_true, scores, kind))
