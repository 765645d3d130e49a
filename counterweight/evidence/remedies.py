"""The remedies that the probe compares: what each one changes, and the params that set it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.strategies import TrainImages, build_plan
from counterweight.metrics import decisions

# Strategies of `augment.strategy` by task, and the one that is also combined with weights.
STRATEGIES = {
    "multilabel": ("clusters", "labels", "clusters_labels"),
    "multiclass": ("clusters", "classes"),
    "binary": ("clusters", "classes"),
}
COMBINED = {"multilabel": "labels", "multiclass": "classes", "binary": "classes"}
# Decisions that need no tuning: one of several classes by the highest score, all else by the threshold 0.5.
FIXED: dict[str, float | str] = {"multilabel": 0.5, "binary": decisions.ARGMAX, "multiclass": decisions.ARGMAX}


@dataclass(frozen=True)
class Training:
    """What a probe is trained with.

    Attributes
    ----------
    balanced : bool
        Whether each label's two values, or the classes, are weighted to equal sums.
    strategy : str or None
        Strategy by which images are copied; None for no copies.
    pipeline : str or None
        Pipeline that changes the copies; None for plain ones.
    """

    balanced: bool = False
    strategy: str | None = None
    pipeline: str | None = None


@dataclass(frozen=True)
class Remedy:
    """A training, and how its scores become labels.

    Attributes
    ----------
    name : str
        For people.
    training : Training
    decision : float or str
        A decision of `counterweight.metrics.decisions.DecisionRule`.
    """

    name: str
    training: Training
    decision: float | str


def build_remedies(task: str, pipelines: Sequence[str]) -> list[Remedy]:
    """Return the remedies for a task, the simplest first.

    Parameters
    ----------
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    pipelines : sequence of str
        Names of the pipelines to try.

    Examples
    --------
    >>> [remedy.name for remedy in build_remedies("binary", ["gentle"])][:4]
    ['nothing', 'one tuned threshold', 'weights', 'plain copies by clusters']
    """
    return list(_remedies(task, pipelines))


def _remedies(task: str, pipelines: Sequence[str]) -> Iterator[Remedy]:
    fixed, nothing = FIXED[task], Training()
    yield Remedy("nothing", nothing, fixed)
    if task != "multiclass":
        yield Remedy("one tuned threshold", nothing, decisions.TUNED)
    if task != "binary":
        kind = "label" if task == "multilabel" else "class"
        yield Remedy(f"tuned thresholds per {kind}", nothing, decisions.PER_LABEL)
    yield Remedy("weights", Training(balanced=True), fixed)
    for strategy in STRATEGIES[task]:
        yield Remedy(f"plain copies by {strategy}", Training(False, strategy), fixed)
    for pipeline in pipelines:
        for strategy in STRATEGIES[task]:
            yield Remedy(f"copies by {strategy}, {pipeline}", Training(False, strategy, pipeline), fixed)
    combined = COMBINED[task]
    yield Remedy(f"weights and plain copies by {combined}", Training(True, combined), fixed)


def settings(remedy: Remedy) -> dict[str, Any]:
    """Return the params that set a remedy, by dotted names.

    Examples
    --------
    >>> settings(Remedy("", Training(False, "labels", "gentle"), 0.5))["train.arms"]
    ['nothing', 'copies']
    >>> settings(Remedy("", Training(True), 0.5))
    {'train.arms': ['nothing', 'weights', 'copies'], 'augment.strategy': 'none'}
    """
    training = remedy.training
    arms = ["nothing", "copies"]
    if training.balanced:
        arms = ["nothing", "weights", "copies"] if training.strategy is None else [*arms, "copies+weights"]
    values = {"train.arms": arms, "augment.strategy": training.strategy or "none"}
    if training.strategy is None:
        return values
    if training.pipeline is None:
        return {**values, "augment.copy_mode": "plain"}
    return {**values, "augment.copy_mode": "augmented", "augment.pipeline": training.pipeline}


def copies_wanted(train: TrainImages, task: str, allocation: AllocationConfig) -> dict[str, NDArray[np.int64]]:
    """Return how often each strategy of a task copies each image, shape (n_images,)."""
    wanted = {}
    for strategy in STRATEGIES[task]:
        counts: Mapping[str, int] = Counter(
            copy.source_id for copy in build_plan(strategy, train, allocation).next_copies({}, set())
        )
        wanted[strategy] = np.array([counts.get(image, 0) for image in train.ids], dtype=np.int64)
    return wanted
