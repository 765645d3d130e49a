import math

import numpy as np
import pytest
from numpy.typing import NDArray

from counterweight.metrics.imbalance import (
    absent_label_warnings,
    cvir,
    irlbl,
    irlbl_weights,
    label_scumble,
    label_table,
    mean_ir,
    rarer_label_warnings,
    rarest_third,
    scumble,
    summary,
)


def columns_with(counts: list[int], images: int) -> NDArray[np.int8]:
    """Targets in which the first ``counts[j]`` images have label j."""
    return (np.arange(images)[:, None] < np.array(counts)).astype(np.int8)


@pytest.fixture
def emotions() -> NDArray[np.int8]:
    """The label counts of the dataset emotions, in an arbitrary arrangement."""
    return columns_with([173, 166, 264, 148, 168, 189], images=593)


@pytest.fixture
def common_and_rare() -> NDArray[np.int8]:
    """One label on all four images, another on the last."""
    return np.array([[1, 0], [1, 0], [1, 0], [1, 1]], dtype=np.int8)


def test_mean_ir_of_emotions_is_as_published(emotions: NDArray[np.int8]) -> None:
    assert mean_ir(emotions) == pytest.approx(1.478, abs=5e-4)


def test_cvir_of_emotions_is_as_published(emotions: NDArray[np.int8]) -> None:
    assert cvir(emotions) == pytest.approx(0.180, abs=5e-4)


def test_mean_ir_is_the_mean_of_irlbl(common_and_rare: NDArray[np.int8]) -> None:
    assert mean_ir(common_and_rare) == (1 + 4) / 2


def test_cvir_is_the_sample_standard_deviation_over_the_mean(common_and_rare: NDArray[np.int8]) -> None:
    # IRLbl is 1 and 4: both deviate from 2.5 by 1.5, and the sum of squares is divided by 2 - 1.
    assert cvir(common_and_rare) == pytest.approx(math.sqrt(1.5**2 + 1.5**2) / 2.5)


def test_balanced_labels_have_mean_ir_1_and_cvir_0() -> None:
    targets = np.array([[1, 0], [0, 1]])
    assert (mean_ir(targets), cvir(targets)) == (1.0, 0.0)


def test_a_single_label_is_balanced() -> None:
    targets = np.array([[1], [0], [0]])
    assert (mean_ir(targets), cvir(targets), scumble(targets)) == (1.0, 0.0, 0.0)


def test_label_that_never_occurs_has_infinite_irlbl() -> None:
    assert irlbl(np.array([[1, 0], [1, 0]])).tolist() == [1.0, math.inf]


def test_label_that_never_occurs_does_not_affect_the_means(common_and_rare: NDArray[np.int8]) -> None:
    with_never = np.column_stack([common_and_rare, np.zeros(4, np.int8)])
    assert mean_ir(with_never) == mean_ir(common_and_rare)
    assert cvir(with_never) == cvir(common_and_rare)
    assert scumble(with_never) == scumble(common_and_rare)


def test_scumble_of_one_image_with_a_common_and_a_rare_label() -> None:
    # Two labels with IRLbl 1 (on 4 images) and 4 (on 1): on the one image with both, the geometric mean is
    # sqrt(1 * 4) = 2 and the arithmetic one (1 + 4) / 2 = 2.5, so it scores 1 - 2 / 2.5 = 0.2; the others score 0.
    targets = np.array([[1, 1], [1, 0], [1, 0], [1, 0]])
    assert scumble(targets) == pytest.approx((0.2 + 0 + 0 + 0) / 4)


def test_scumble_of_three_labels_together() -> None:
    # IRLbl 1, 2 and 4: the geometric mean is the cube root of 8, the arithmetic one 7 / 3. The second image has
    # the first two: sqrt(2) and 1.5.
    targets = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]])
    assert scumble(targets) == pytest.approx(((1 - 2 / (7 / 3)) + (1 - math.sqrt(2) / 1.5)) / 4)


def test_scumble_is_0_if_rare_and_common_labels_never_share_an_image() -> None:
    assert scumble(np.array([[1, 0], [1, 0], [1, 0], [0, 1]])) == 0.0


def test_scumble_is_0_if_equally_common_labels_share_images() -> None:
    assert scumble(np.array([[1, 1], [1, 1]])) == pytest.approx(0.0, abs=1e-12)


def test_image_without_labels_scores_0() -> None:
    # As above, (0.2 + 0 + 0 + 0) over four images; the fifth has no label.
    targets = np.array([[1, 1], [1, 0], [1, 0], [1, 0], [0, 0]])
    assert scumble(targets) == pytest.approx(0.2 / 5)


def test_counts_do_not_overflow_int8() -> None:
    assert irlbl(columns_with([1000, 250], images=1000)).tolist() == [1.0, 4.0]


def test_summary_has_all_measures(common_and_rare: NDArray[np.int8]) -> None:
    assert summary(common_and_rare) == pytest.approx(
        {"images": 4, "mean_ir": 2.5, "cvir": 0.6 * math.sqrt(2), "scumble": 0.05}
    )


def test_label_table_has_count_irlbl_and_scumble_of_each_part(common_and_rare: NDArray[np.int8]) -> None:
    parts = {"before": common_and_rare, "after": np.array([[1, 1], [1, 1]])}
    # Labels with IRLbl 1 and 4 share one of the four images, 1 - 2 / 2.5 = 0.2: a quarter of the sea's images.
    table = label_table(parts, ["sea", "desert"]).to_dict("list")
    assert table.pop("before_scumble") == pytest.approx([0.05, 0.2])
    assert table.pop("after_scumble") == pytest.approx([0.0, 0.0])
    assert table == {
        "label": ["sea", "desert"],
        "before_count": [4, 1],
        "before_irlbl": [1.0, 4.0],
        "after_count": [2, 2],
        "after_irlbl": [1.0, 1.0],
    }


def test_missing_labels_count_as_absent() -> None:
    known = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    missing = np.array([[1, 1, -1], [1, -1, 0], [1, 0, 0], [1, -1, -1], [-1, -1, -1]])
    assert irlbl(missing).tolist() == irlbl(known).tolist() == [1.0, 4.0, math.inf]
    assert summary(missing) == summary(known)


def test_label_table_counts_missing_cells_if_there_are_any() -> None:
    parts = {"train": np.array([[1, -1], [0, -1]]), "test": np.array([[1, 1]])}
    assert label_table(parts, ["sea", "desert"]).to_dict("list") == {
        "label": ["sea", "desert"],
        "train_count": [1, 0],
        "train_irlbl": [1.0, math.inf],
        "train_scumble": [0.0, 0.0],
        "train_missing": [0, 2],
        "test_count": [1, 1],
        "test_irlbl": [1.0, 1.0],
        "test_scumble": [0.0, 0.0],
        "test_missing": [0, 0],
    }


@pytest.mark.parametrize("cell", [0, -1])
def test_measures_are_0_if_no_image_is_known_to_have_a_label(cell: int) -> None:
    assert summary(np.full((3, 2), cell)) == {"images": 3, "mean_ir": 0.0, "cvir": 0.0, "scumble": 0.0}


def test_label_scumble_is_the_mean_over_the_images_with_the_label() -> None:
    # IRLbl 1, 2 and 4 as above: the first image scores 1 - 2 / (7 / 3), the second 1 - sqrt(2) / 1.5, the others 0.
    targets = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]])
    first, second = 1 - 2 / (7 / 3), 1 - math.sqrt(2) / 1.5
    assert label_scumble(targets).tolist() == pytest.approx([(first + second) / 4, (first + second) / 2, first])


def test_label_scumble_of_a_label_that_no_image_has_is_0() -> None:
    assert label_scumble(np.array([[1, 0], [1, -1]])).tolist() == [0.0, 0.0]


def test_warning_about_a_rarer_label_has_its_irlbl_before_and_after() -> None:
    before, after = np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 1], [1, 0]])
    assert rarer_label_warnings(before, after, ["sea", "ice"]) == [
        "label 'ice' got relatively rarer: IRLbl 2.00 before, 3.00 after. Consider augment.strategy clusters_labels or "
        "labels"
    ]


def test_no_strategy_is_advised_where_labels_are_more_even_than_before() -> None:
    before = np.array([[1, 0, 0]] * 8 + [[0, 1, 0]] * 4 + [[0, 0, 1]])
    after = np.vstack([before, [[1, 0, 1]] * 4])
    assert rarer_label_warnings(before, after, ["sea", "ice", "fog"]) == [
        "label 'ice' got relatively rarer: IRLbl 2.00 before, 3.00 after"
    ]


def test_no_warning_about_labels_that_did_not_become_rarer() -> None:
    before, after = np.array([[1, 0, 0], [1, 1, 0]]), np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert rarer_label_warnings(before, after, ["sea", "ice", "never"]) == []


def test_weight_of_an_image_is_the_mean_irlbl_of_its_labels() -> None:
    # Counts 4, 2 and 1: IRLbl 1, 2 and 4.
    targets = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [-1, -1, -1]])
    assert irlbl_weights(targets).tolist() == pytest.approx([7 / 3, 1.5, 1.0, 1.0, 1.0, 1.0])


def test_weights_make_classes_equally_frequent() -> None:
    targets = np.array([[1, 0, 0]] * 6 + [[0, 1, 0]] * 3 + [[0, 0, 1]] * 2)
    weights = irlbl_weights(targets)
    assert [weights[targets[:, j] == 1].sum() for j in range(3)] == pytest.approx([6.0, 6.0, 6.0])


def test_missing_label_adds_no_weight() -> None:
    assert irlbl_weights(np.array([[1, 0], [1, -1], [1, 1], [1, 0]])).tolist() == [1.0, 1.0, 2.5, 1.0]


def test_labels_that_no_image_of_a_split_has_are_named_with_the_consequence() -> None:
    parts = {"train": np.array([[1, 1, 0]]), "val": np.array([[0, 1, -1]]), "test": np.array([[1, 1, 1], [0, 0, 0]])}
    assert absent_label_warnings(["a", "b", "c"], parts) == [
        "no train image has 'c': nothing to learn from",
        "no val image has 'a', 'c': no threshold can be tuned",
    ]
    assert absent_label_warnings(["a"], {"test": np.array([[0]])}) == [
        "no test image has 'a': recall cannot be measured"
    ]


@pytest.mark.parametrize(("n_labels", "expected"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_a_third_of_the_labels_is_rounded_up(n_labels: int, expected: int) -> None:
    assert len(rarest_third(np.ones((2, n_labels), dtype=int))) == expected


def test_a_label_that_no_image_has_is_not_among_the_rarest() -> None:
    assert rarest_third(columns_with([9, 5, 0, 2], images=9)).tolist() == [3]
