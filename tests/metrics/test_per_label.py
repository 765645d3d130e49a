import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import multilabel_confusion_matrix, precision_recall_fscore_support, recall_score

from counterweight.metrics.per_label import comparable, rates

Labels = tuple[NDArray[np.int8], NDArray[np.bool_]]


@pytest.fixture
def random_labels() -> Labels:
    """What is there and what is given: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    odds = np.array([0.7, 0.5, 0.3, 0.2, 0.1, 0.02])
    return (rng.random((300, 6)) < odds).astype(np.int8), rng.random((300, 6)) < odds


def test_rates_of_each_label_are_scikit_learns(random_labels: Labels) -> None:
    targets, given = random_labels
    precision, recall, f1, _ = precision_recall_fscore_support(targets, given, average=None, zero_division=0)
    found = rates(targets, given)
    assert found.precision.tolist() == precision.tolist()
    assert found.recall.tolist() == found.sensitivity.tolist() == recall.tolist()
    assert found.f1.tolist() == f1.tolist()
    assert found.specificity.tolist() == recall_score(1 - targets, ~given, average=None).tolist()


def test_counts_of_each_label_are_scikit_learns(random_labels: Labels) -> None:
    targets, given = random_labels
    found = rates(targets, given)
    counts = np.stack([found.tn, found.fp, found.fn, found.tp], axis=1)
    assert counts.tolist() == multilabel_confusion_matrix(targets, given).reshape(-1, 4).tolist()


def test_cells_that_are_not_known_change_nothing(random_labels: Labels) -> None:
    targets, given = random_labels
    unknown = np.random.default_rng(1).random(targets.shape) < 0.3
    masked = np.where(unknown, -1, targets)
    found = rates(masked, given)
    for j in range(targets.shape[1]):
        known = ~unknown[:, j]
        alone = rates(targets[known][:, [j]], given[known][:, [j]])
        for name in ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "specificity", "g_mean", "accuracy"):
            assert getattr(found, name)[j] == getattr(alone, name)[0], name


def test_rates_of_a_single_label_worked_by_hand() -> None:
    # Three given, two of them rightly; four there; of two without it one is not given it.
    found = rates(np.array([[1], [1], [0], [1], [1], [0]]), np.array([[1], [1], [1], [0], [0], [0]], dtype=bool))
    assert (found.tp[0], found.fp[0], found.fn[0], found.tn[0]) == (2, 1, 2, 1)
    assert (found.precision[0], found.recall[0], found.specificity[0]) == (2 / 3, 2 / 4, 1 / 2)
    assert found.f1 == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert (found.g_mean[0], found.balanced_accuracy[0], found.accuracy[0]) == (0.5, 0.5, 3 / 6)


def test_label_never_given_has_rates_of_0() -> None:
    found = rates(np.array([[1], [0]]), np.array([[False], [False]]))
    assert (found.precision[0], found.recall[0], found.f1[0], found.sensitivity[0]) == (0, 0, 0, 0)


def test_label_never_there_has_rates_of_0_and_no_sensitivity() -> None:
    found = rates(np.array([[0], [0]]), np.array([[True], [False]]))
    assert (found.precision[0], found.recall[0], found.f1[0], found.specificity[0]) == (0, 0, 0, 0.5)
    assert np.isnan([found.sensitivity[0], found.g_mean[0], found.balanced_accuracy[0]]).all()


def test_label_of_which_nothing_is_known_has_counts_of_0() -> None:
    found = rates(np.array([[-1, 1], [-1, 0]]), np.array([[True, True], [False, False]]))
    assert [counts[0] for counts in (found.tp, found.fp, found.fn, found.tn)] == [0, 0, 0, 0]
    assert np.isnan([found.accuracy[0], found.specificity[0]]).all()


def test_without_any_image_the_counts_are_0() -> None:
    found = rates(np.zeros((0, 2), np.int8), np.zeros((0, 2), np.bool_))
    assert [counts.tolist() for counts in (found.tp, found.fp, found.fn, found.tn)] == [[0, 0]] * 4


def test_single_label_is_not_taken_for_two_classes() -> None:
    there, said, columns = comparable(np.array([[1], [-1]]), np.array([[False], [True]]))
    assert (there.tolist(), said.tolist(), columns) == ([[1, 0], [0, 0]], [[0, 0], [0, 0]], [0])
