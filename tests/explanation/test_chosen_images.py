import numpy as np
import pytest

from counterweight.explanation.chosen_images import (
    ChosenImage,
    choose_images,
    only_right_by,
    rarest_column,
    wrong_cells,
)

# Five images with the labels sea and ice, of which ice is rare.
TARGETS = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, -1]], np.int8)
SCORES = {
    "nothing": np.array([[0.9, 0.1], [0.2, 0.1], [0.6, 0.1], [0.1, 0.8], [0.1, 0.7]]),
    "copies": np.array([[0.8, 0.7], [0.7, 0.1], [0.1, 0.9], [0.1, 0.9], [0.1, 0.2]]),
}
ANSWERS = {arm: scores >= 0.5 for arm, scores in SCORES.items()}


def test_a_missing_label_is_not_wrong() -> None:
    assert wrong_cells(TARGETS, ANSWERS["nothing"]).tolist() == [
        [False, False], [True, False], [True, True], [False, False], [False, False],
    ]  # fmt: skip


def test_the_rarest_marked_label_is_taken_and_without_marks_the_rarest_of_all() -> None:
    marked = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    assert rarest_column(marked, np.array([9, 5, 2])).tolist() == [1, 0, 2]


def test_an_image_that_one_arm_alone_gets_right_has_no_wrong_cell_in_it_and_one_in_all_others() -> None:
    assert np.flatnonzero(only_right_by(TARGETS, ANSWERS, "nothing")).tolist() == [0]
    assert np.flatnonzero(only_right_by(TARGETS, ANSWERS, "copies")).tolist() == [1, 2]


def test_each_image_is_chosen_once_for_its_first_reason_and_rare_labels_come_first() -> None:
    chosen = choose_images(TARGETS, SCORES, ANSWERS, [40, 5], per_reason=1, seed=0)
    assert chosen == [
        ChosenImage(2, 1, "surest errors"),  # nothing gives ice 0.1
        ChosenImage(0, 1, "only right by nothing"),  # copies sees ice in it
        ChosenImage(1, 0, "only right by copies"),  # image 2 has been chosen
        ChosenImage(3, 1, "rarest labels"),
        ChosenImage(4, 1, "at random"),  # its likeliest label
    ]


@pytest.mark.parametrize(("per_reason", "count"), [(0, 0), (1, 5), (9, 5)])
def test_at_most_so_many_images_per_reason_are_chosen(per_reason: int, count: int) -> None:
    assert len(choose_images(TARGETS, SCORES, ANSWERS, [40, 5], per_reason=per_reason, seed=0)) == count


def test_those_at_random_differ_by_seed() -> None:
    targets, scores = np.ones((50, 1), np.int8), {"nothing": np.ones((50, 1)), "copies": np.ones((50, 1))}
    answers = {arm: each > 0 for arm, each in scores.items()}
    drawn = [
        [each.position for each in choose_images(targets, scores, answers, [9], per_reason=5, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
