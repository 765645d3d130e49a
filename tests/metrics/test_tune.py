import numpy as np
import pytest

from counterweight.metrics.decisions import Decisions, tune

PETS = Decisions("binary", ["cat", "dog"], "dog", 0.3, {"dog": 0.3})


def test_labels_are_tuned_together_and_each_alone() -> None:
    targets = np.array([[1, 0], [1, 1], [0, 0], [-1, -1]])
    scores = np.array([[0.9, 0.1], [0.8, 0.4], [0.7, 0.2], [0.75, 0.45]])
    found = tune(targets, scores, ["sea", "desert"], "multilabel")
    assert found == Decisions("multilabel", ["sea", "desert"], None, 0.4, {"sea": 0.71, "desert": 0.4})


def test_two_classes_are_tuned_by_the_positive_ones_score() -> None:
    targets = np.array([[0, 1], [1, 0], [-1, -1]])
    scores = np.array([[0.7, 0.3], [0.8, 0.2], [0.75, 0.25]])
    assert tune(targets, scores, ["cat", "dog"], "binary", "dog") == PETS
    assert tune(targets, scores, ["cat", "dog"], "binary", "cat").per_label == {"cat": 0.71}


def test_several_classes_have_a_threshold_each() -> None:
    targets = np.array([[1, 0], [1, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    found = tune(targets, scores, ["apple", "fig"], "multiclass")
    assert list(found.per_label) == ["apple", "fig"]
    assert found.given(scores, "per_label").tolist() == targets.astype(bool).tolist()


@pytest.mark.parametrize(
    ("task", "positive", "decided"),
    [("multilabel", None, {"cat": 0.5, "dog": 0.5}), ("multiclass", None, {"cat": 0.5, "dog": 0.5}),
     ("binary", "dog", {"dog": 0.5})],
)  # fmt: skip
def test_thresholds_by_platts_sigmoid_are_for_every_task(
    task: str, positive: str | None, decided: dict[str, float]
) -> None:
    # The best threshold for dogs would be 0.41 or 0.61: one of four is given wrongly.
    dogs, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    found = tune(
        np.stack([1 - dogs, dogs], axis=1), np.stack([1 - scores, scores], axis=1), ["cat", "dog"], task, positive,
        measure="platt",
    )  # fmt: skip
    assert found.per_label == pytest.approx(decided)
    assert found.tuned == pytest.approx(0.5)


@pytest.mark.parametrize("positive", [None, "bird"])
def test_two_classes_need_a_positive_one(positive: str | None) -> None:
    with pytest.raises(ValueError, match="of two classes one is positive"):
        tune(np.array([[0, 1]]), np.array([[0.4, 0.6]]), ["cat", "dog"], "binary", positive)
