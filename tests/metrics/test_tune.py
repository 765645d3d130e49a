import numpy as np
import pytest

from counterweight.metrics.decisions import DecisionRule, tune
from counterweight.metrics.thresholds import class_thresholds, label_thresholds

PETS = DecisionRule("binary", ["cat", "dog"], "dog", 0.3, {"dog": 0.3})


def test_labels_are_tuned_together_and_individually() -> None:
    y_true = np.array([[1, 0], [1, 1], [0, 0], [-1, -1]])
    scores = np.array([[0.9, 0.1], [0.8, 0.4], [0.7, 0.2], [0.75, 0.45]])
    rule = tune(y_true, scores, ["sea", "desert"], "multilabel")
    assert rule == DecisionRule("multilabel", ["sea", "desert"], None, 0.4, {"sea": 0.71, "desert": 0.4})


def test_binary_task_is_tuned_on_the_scores_of_the_positive_class() -> None:
    y_true = np.array([[0, 1], [1, 0], [-1, -1]])
    scores = np.array([[0.7, 0.3], [0.8, 0.2], [0.75, 0.25]])
    assert tune(y_true, scores, ["cat", "dog"], "binary", "dog") == PETS
    assert tune(y_true, scores, ["cat", "dog"], "binary", "cat").per_label == {"cat": 0.71}


def test_each_of_several_classes_has_a_threshold() -> None:
    y_true = np.array([[1, 0], [1, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    rule = tune(y_true, scores, ["apple", "fig"], "multiclass")
    assert list(rule.per_label) == ["apple", "fig"]
    assert rule.apply(scores, "per_label").tolist() == y_true.astype(bool).tolist()


@pytest.mark.parametrize(
    ("task", "positive", "thresholds"),
    [("multilabel", None, {"cat": 0.5, "dog": 0.5}), ("multiclass", None, {"cat": 0.5, "dog": 0.5}),
     ("binary", "dog", {"dog": 0.5})],
)  # fmt: skip
def test_every_task_can_be_tuned_by_platt_scaling(
    task: str, positive: str | None, thresholds: dict[str, float]
) -> None:
    # The best threshold for dogs would be 0.41 or 0.61, with one of four wrong.
    dogs, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    rule = tune(
        np.stack([1 - dogs, dogs], axis=1), np.stack([1 - scores, scores], axis=1), ["cat", "dog"], task, positive,
        metric="platt",
    )  # fmt: skip
    assert rule.per_label == pytest.approx(thresholds)
    assert rule.tuned == pytest.approx(0.5)


@pytest.mark.parametrize("positive", [None, "bird"])
def test_binary_task_needs_a_positive_class(positive: str | None) -> None:
    with pytest.raises(ValueError, match="a binary task needs two labels, one of them positive"):
        tune(np.array([[0, 1]]), np.array([[0.4, 0.6]]), ["cat", "dog"], "binary", positive)


@pytest.mark.parametrize(("metric", "threshold"), [("f1", 0.51), ("balanced_accuracy", 0.4)])
def test_labels_and_binary_tasks_are_tuned_by_the_metric(metric: str, threshold: float) -> None:
    # Two of ten images have the label; at 0.4 both are predicted and two others, at 0.51 one of them alone.
    y_true = np.array([[1], [1], *[[0]] * 8])
    scores = np.array([[0.6], [0.4], [0.5], [0.5], *[[0.1]] * 6])
    rule = tune(y_true, scores, ["sea"], "multilabel", metric=metric)
    assert (rule.tuned, rule.per_label) == (threshold, {"sea": threshold})
    both_true, both_scores = np.hstack([1 - y_true, y_true]), np.hstack([1 - scores, scores])
    # Macro F1 averages 2/3 with the other class's 6/7 at 0.4, and with its 16/17 at 0.51.
    assert tune(both_true, both_scores, ["cat", "dog"], "binary", "dog", metric=metric).tuned == threshold


def test_f1_is_the_default_metric() -> None:
    y_true, scores = np.array([[1], [1], *[[0]] * 8]), np.array([[0.6], [0.4], [0.5], [0.5], *[[0.1]] * 6])
    assert tune(y_true, scores, ["sea"], "multilabel").tuned == 0.51


def test_platt_scaling_tunes_one_threshold_on_all_labels() -> None:
    y_true = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    scores = np.array([[0.1, 0.01], [0.6, 0.1], [0.4, 0.05], [0.9, 0.4]])
    rule = tune(y_true, scores, ["sea", "sun"], "multilabel", metric="platt")
    assert rule.per_label["sun"] < rule.tuned < rule.per_label["sea"]


def test_three_labels_are_not_a_binary_task() -> None:
    with pytest.raises(ValueError, match="not dog of 3"):
        tune(np.eye(3, dtype=int), np.eye(3), ["cat", "dog", "owl"], "binary", "dog")


def test_platt_scaling_of_a_binary_task_uses_the_scores_of_the_positive_class_alone() -> None:
    dogs, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    both = np.stack([1 - dogs, dogs], axis=1), np.stack([1 - scores, scores], axis=1)
    assert 0.2 < tune(*both, ["cat", "dog"], "binary", "dog", metric="platt").tuned < 0.3


def test_classes_are_tuned_for_the_highest_ratio_and_labels_each_for_itself() -> None:
    rng = np.random.default_rng(0)
    y_true = np.eye(3, dtype=int)[rng.choice(3, 60, p=[0.7, 0.2, 0.1])]
    scores = rng.dirichlet([1, 1, 1], 60) / 2 + y_true / 4 + 1 / 12
    classes = tune(y_true, scores, list("abc"), "multiclass").per_label
    labels = tune(y_true, scores, list("abc"), "multilabel").per_label
    assert list(classes.values()) == class_thresholds(y_true, scores).tolist()
    assert list(labels.values()) == label_thresholds(y_true, scores).tolist()
    assert classes != labels
