"""How scores become labels: thresholds that are tuned on validation and kept with the model.

What each task's names mean is said by `names_of_decisions` and `Decisions.given`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import InputError
from counterweight.base.outputs import write_json
from counterweight.metrics.platt import even_threshold, even_thresholds
from counterweight.metrics.thresholds import (
    binary_threshold,
    class_thresholds,
    highest,
    label_thresholds,
    tuned_threshold,
)

TUNED, PER_LABEL, ARGMAX = "tuned", "per_label", "argmax"
# The decision that stands for a model where one number must: that of a user who has no threshold in mind.
HEADLINE = {"multilabel": TUNED, "binary": TUNED, "multiclass": ARGMAX}
# The one by which new images get their labels.
IN_USE = {"multilabel": PER_LABEL, "binary": TUNED, "multiclass": ARGMAX}
FILE = "decisions.json"


@dataclass(frozen=True)
class Decisions:
    """The thresholds of a model, and how they are applied.

    Attributes
    ----------
    task : str
        ``multilabel``: any number of labels an image. ``multiclass``: one of several. ``binary``: one of two.
    labels : list of str
        In the order of the columns of scores.
    positive : str or None
        Of two classes the one that thresholds are about; None for the other tasks.
    tuned : float
        One threshold for all labels.
    per_label : dict of str to float
        One for each label; for two classes the positive one's, which is ``tuned`` then.
    """

    task: str
    labels: list[str]
    positive: str | None
    tuned: float
    per_label: dict[str, float]

    def given(self, scores: NDArray[np.floating], how: float | str) -> NDArray[np.bool_]:
        """Which labels the scores give.

        Parameters
        ----------
        scores : array of float in [0, 1], shape (n_images, n_labels)
            What the network says.
        how : float or str
            A threshold, from which score on a label is given; or ``tuned``, ``per_label`` or ``argmax``, see
            `names_of_decisions`. Of two classes always exactly one is given, of several classes by ``argmax`` and
            ``per_label``, the highest score over its threshold. At one threshold a class is given or not whatever
            the others, as in one-versus-rest.

        Returns
        -------
        array of bool, shape (n_images, n_labels)
        """
        if how == ARGMAX and self.task != "multilabel":
            return highest(scores)
        if how == PER_LABEL and self.task == "multiclass":
            return highest(scores / self._thresholds())
        if how == PER_LABEL and self.task == "multilabel":
            return scores >= self._thresholds()
        threshold = self.tuned if how == TUNED else how
        if isinstance(threshold, str):
            raise ValueError(f"{threshold} is no way to decide of {self.task}")
        if self.positive is None:
            return scores >= threshold
        positive = self.labels.index(self.positive)
        return np.where(
            np.arange(2) == positive, *(scores[:, [positive]] >= threshold, scores[:, [positive]] < threshold)
        )

    def described(self, how: float | str) -> str:
        """What `given` does, in words and with its thresholds."""
        if how == ARGMAX:
            return "the class with the highest score"
        each = ", ".join(f"{label} {threshold:g}" for label, threshold in self.per_label.items())
        if how == PER_LABEL and self.task == "multiclass":
            return f"the class with the highest score over its threshold, tuned on validation: {each}"
        if how == PER_LABEL:
            return f"a label from its threshold on, tuned on validation: {each}"
        threshold = f"{self.tuned:g} on, tuned on validation" if how == TUNED else f"{how:g} on"
        return f"{self.positive or 'a label'} from {threshold}" + ("; else the other class" if self.positive else "")

    def _thresholds(self) -> NDArray[np.float64]:
        return np.array([self.per_label[label] for label in self.labels])


def names_of_decisions(task: str, thresholds: Sequence[float]) -> dict[str, float | str]:
    """Every way in which a model's scores become labels, by the name under which its measures stand.

    Parameters
    ----------
    task : str
        As in `Decisions`.
    thresholds : sequence of float
        Fixed ones.

    Examples
    --------
    >>> names_of_decisions("multilabel", [0.2, 0.5])
    {'0.2': 0.2, '0.5': 0.5, 'tuned': 'tuned', 'per_label': 'per_label'}
    >>> list(names_of_decisions("multiclass", [0.5])), list(names_of_decisions("binary", [0.5]))
    (['0.5', 'tuned', 'per_label', 'argmax'], ['0.5', 'tuned', 'argmax'])
    """
    also = {"multilabel": (TUNED, PER_LABEL), "multiclass": (TUNED, PER_LABEL, ARGMAX), "binary": (TUNED, ARGMAX)}
    return {f"{threshold:g}": threshold for threshold in thresholds} | {name: name for name in also[task]}


def gives_one(task: str, name: str) -> bool:
    """Whether the decision of that name gives exactly one label to every image."""
    return task == "binary" or (task == "multiclass" and name in (PER_LABEL, ARGMAX))


def rarest(labels: Sequence[str], counts: Sequence[int] | NDArray[np.integer]) -> str:
    """The label with the fewest images, among equals the last: of two classes the positive one.

    Parameters
    ----------
    labels : sequence of str
        Their names.
    counts : sequence of int
        Original train images of each.
    """
    return min(zip(counts, range(0, -len(labels), -1), labels, strict=True))[2]


def positive_class(task: str, labels: Sequence[str], counts: NDArray[np.integer]) -> str | None:
    """Of two classes the one that thresholds are about, the rarer; None for the other tasks; see `rarest`."""
    return rarest(labels, counts) if task == "binary" else None


def commonest(labels: Sequence[str], counts: Sequence[int] | NDArray[np.integer]) -> str:
    """The label with the most images, among equals the first; see `rarest`."""
    return max(zip(counts, range(0, -len(labels), -1), labels, strict=True))[2]


def summary(decisions: Decisions) -> dict[str, float | str | dict[str, float]]:
    """What a metrics file says of the decisions: the one that stands for the model, and the thresholds."""
    positive = {} if decisions.positive is None else {"positive": decisions.positive}
    return {
        "headline": HEADLINE[decisions.task],
        **positive,
        "tuned_threshold": decisions.tuned,
        "thresholds": decisions.per_label,
    }


def write(decisions: Decisions, folder: Path) -> None:
    """Write the decisions of a model into its folder, as ``decisions.json``."""
    write_json(asdict(decisions), folder / FILE)


def read(folder: Path) -> Decisions:
    """Read the decisions that `write` wrote into a model's folder.

    Raises
    ------
    InputError
        If they are not there.
    """
    try:
        content: Mapping[str, object] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Decisions(**content)  # type: ignore[arg-type]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no model: {FILE} is not there. Give the folder that train wrote.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder / FILE}: no decisions of a model: {error}. Run dvc repro.") from None


PLATT = "platt"


def tune(
    targets: NDArray[np.integer],
    scores: NDArray[np.floating],
    labels: Sequence[str],
    task: str,
    positive: str | None = None,
    *,
    measure: str = "f1",
) -> Decisions:
    """Choose the thresholds of a model on its validation rows.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label, 0 where not, -1 where that is not known.
    scores : array of float in [0, 1], shape (n_images, n_labels)
        What the network says of these images.
    labels : sequence of str
        Names of the columns.
    task : str
        As in `Decisions`.
    positive : str, optional
        Of two classes, the one that the threshold is about.
    measure : str
        What they make best, ``f1`` or ``balanced_accuracy``; or ``platt``, by `counterweight.metrics.platt`.
    """
    if task == "binary":
        if positive is None or positive not in labels or len(labels) != 2:
            raise ValueError(f"of two classes one is positive, not {positive} of {len(labels)}")
        column = list(labels).index(positive)
        if measure == PLATT:
            threshold = even_threshold(targets[:, [column]], scores[:, [column]])
        else:
            threshold = binary_threshold(targets, scores, column, measure)
        return Decisions(task, list(labels), positive, threshold, {positive: threshold})
    if measure == PLATT:
        each, tuned = even_thresholds(targets, scores), even_threshold(targets, scores)
    else:
        each = (class_thresholds if task == "multiclass" else label_thresholds)(targets, scores, measure)
        tuned = tuned_threshold(targets, scores, measure)
    return Decisions(task, list(labels), None, tuned, dict(zip(labels, each.tolist(), strict=True)))
