import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn.functional import cross_entropy

from counterweight.training.losses import (
    Asymmetric,
    BinaryCrossEntropy,
    CellLoss,
    CrossEntropy,
    DistributionBalanced,
    Focal,
    build_loss,
    class_weights,
    label_weights,
    score_function,
)


def test_weights_are_n_over_twice_the_count() -> None:
    # Of ten images two have the first label and five the second.
    targets = np.array([[1, 1]] * 2 + [[0, 1]] * 3 + [[0, 0]] * 5)
    positive, negative = label_weights(targets)
    assert positive.tolist() == [10 / (2 * 2), 10 / (2 * 5)]
    assert negative.tolist() == [10 / (2 * 8), 10 / (2 * 5)]


def test_both_values_of_a_label_weigh_the_same_in_total() -> None:
    positive, negative = label_weights(np.array([[1]] * 3 + [[0]] * 13))
    assert 3 * positive[0] == pytest.approx(13 * negative[0])


def test_value_that_does_not_occur_weighs_nothing() -> None:
    positive, negative = label_weights(np.array([[0, 1], [0, 1]]))
    assert positive.tolist() == [0.0, 0.5]
    assert negative.tolist() == [0.5, 0.0]


def test_counts_beyond_int8_are_counted() -> None:
    positive, negative = label_weights(np.array([[1]] * 300 + [[0]] * 100, dtype=np.int8))
    assert (positive.tolist(), negative.tolist()) == ([400 / 600], [400 / 200])


@pytest.mark.parametrize(
    ("logit", "target", "loss"),
    [
        (0.0, 1.0, math.log(2)),
        (0.0, 0.0, math.log(2)),
        (2.0, 1.0, math.log(1 + math.exp(-2))),
        (2.0, 0.0, math.log(1 + math.exp(2))),
        (100.0, 0.0, 100.0),
    ],
)
def test_plain_loss_of_one_cell(logit: float, target: float, loss: float) -> None:
    plain = BinaryCrossEntropy(np.ones(1), np.ones(1))
    assert plain(torch.tensor([[logit]]), torch.tensor([[target]])).item() == pytest.approx(loss)


def test_cell_is_weighted_by_its_label_and_value() -> None:
    weighted = BinaryCrossEntropy(positive=np.array([3.0, 5.0]), negative=np.array([7.0, 11.0]))
    # At a logit of 0 each cell costs ln 2 before its weight.
    loss = weighted(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert loss.item() == pytest.approx(math.log(2) * (3 + 11 + 7 + 5) / 4)


def test_bce_weighs_every_cell_the_same() -> None:
    loss = build_loss("bce", np.array([[1, 0], [0, 0], [0, 0]]), weighted=False)
    assert isinstance(loss, BinaryCrossEntropy)
    assert (loss.positive.tolist(), loss.negative.tolist()) == ([1, 1], [1, 1])


def test_weighted_bce_has_the_weights_of_the_train_rows() -> None:
    loss = build_loss("bce", np.array([[1], [0], [0], [0], [0]]), weighted=True)
    assert isinstance(loss, BinaryCrossEntropy)
    assert (loss.positive.tolist(), loss.negative.tolist()) == ([2.5], [0.625])


@pytest.mark.parametrize("name", ["bce", "focal", "asymmetric", "distribution_balanced"])
def test_on_balanced_labels_the_weighted_loss_is_the_plain_one(name: str) -> None:
    targets = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    logits = torch.tensor([[0.3, -2.0], [1.5, 0.1], [-0.7, 0.9], [2.2, -0.4]])
    there = torch.from_numpy(targets).float()
    plain, weighted = (build_loss(name, targets, weighted=weighted) for weighted in (False, True))
    assert weighted(logits, there).item() == plain(logits, there).item()


def test_weights_travel_with_the_loss_to_another_device() -> None:
    for weighted in (False, True):
        loss = build_loss("bce", np.array([[1], [0]]), weighted=weighted)
        assert set(dict(loss.named_buffers())) == {"positive", "negative"}


LOGITS = torch.tensor([[0.3, -2.0, 1.0], [1.5, 0.1, -0.4], [-0.7, 0.9, 3.0], [2.2, -0.4, -5.0]])
CELLS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
TRAIN = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
CLASSES = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
BY_CELL = ["bce", "focal", "asymmetric", "distribution_balanced"]
BY_ROW = ["cross_entropy"]


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", BY_CELL)
def test_missing_row_costs_as_if_it_were_not_there(name: str, weighted: bool) -> None:
    loss = build_loss(name, TRAIN, weighted=weighted)
    targets = CELLS.clone()
    targets[1] = -1
    assert loss(LOGITS, targets).item() == pytest.approx(loss(LOGITS[[0, 2, 3]], CELLS[[0, 2, 3]]).item())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["bce", "focal", "asymmetric"])
def test_missing_cell_leaves_the_mean_of_the_others(name: str, weighted: bool) -> None:
    loss = build_loss(name, TRAIN, weighted=weighted)

    def alone(row: int, label: int) -> float:
        targets = torch.full((4, 3), -1.0)
        targets[row, label] = CELLS[row, label]
        cost: float = loss(LOGITS, targets).item()
        return cost

    others = [alone(row, label) for row in range(4) for label in range(3) if (row, label) != (1, 2)]
    targets = CELLS.clone()
    targets[1, 2] = -1
    assert loss(LOGITS, targets).item() == pytest.approx(sum(others) / 11)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*BY_CELL, *BY_ROW])
def test_missing_cells_have_no_gradient(name: str, weighted: bool) -> None:
    logits = LOGITS.clone().requires_grad_()
    targets = CLASSES.clone()
    targets[2] = -1
    build_loss(name, TRAIN, weighted=weighted)(logits, targets).backward()
    assert logits.grad is not None
    assert logits.grad[2].tolist() == [0, 0, 0]
    assert (logits.grad[[0, 1, 3]] != 0).any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*BY_CELL, *BY_ROW])
def test_batch_of_which_nothing_is_known_costs_nothing(name: str, weighted: bool) -> None:
    assert build_loss(name, TRAIN, weighted=weighted)(LOGITS, torch.full((4, 3), -1.0)).item() == 0.0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*BY_CELL, *BY_ROW])
@pytest.mark.parametrize("size", [50.0, 500.0])
def test_loss_of_a_very_sure_network_and_its_gradient_are_finite(name: str, size: float, weighted: bool) -> None:
    logits = torch.tensor([[size, -size, size], [-size, size, -size]], requires_grad=True)
    loss = build_loss(name, TRAIN, weighted=weighted)(logits, torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_plain_bce_is_sklearns_log_loss() -> None:
    scores = sigmoid(LOGITS.numpy().astype(np.float64))
    expected = np.mean([log_loss(CELLS[:, j].numpy(), scores[:, j], labels=[0, 1]) for j in range(3)])
    assert build_loss("bce", TRAIN, weighted=False)(LOGITS, CELLS).item() == pytest.approx(expected)


def test_focal_loss_of_one_cell() -> None:
    # At a logit of 0 the score is a half: alpha * (1 - 1/2)^2 * ln 2.
    focal = build_loss("focal", TRAIN, weighted=False)
    zero = torch.zeros(1, 3)
    assert focal(zero, torch.ones(1, 3)).item() == pytest.approx(0.25 * 0.25 * math.log(2))
    assert focal(zero, torch.zeros(1, 3)).item() == pytest.approx(0.75 * 0.25 * math.log(2))


def test_asymmetric_loss_of_a_label_that_is_there_is_the_cross_entropy() -> None:
    assert Asymmetric(np.ones(1), np.ones(1))(torch.tensor([[2.0]]), torch.ones(1, 1)).item() == pytest.approx(
        math.log(1 + math.exp(-2))
    )


def test_asymmetric_loss_of_a_label_that_is_not_there_is_shifted_and_focused() -> None:
    # At a logit of 0: the score 0.5 less the margin is 0.45.
    assert Asymmetric(np.ones(1), np.ones(1))(torch.zeros(1, 1), torch.zeros(1, 1)).item() == pytest.approx(
        -(0.45**4) * math.log(0.55)
    )


@pytest.mark.parametrize("score", [0.0001, 0.02, 0.049])
def test_negatives_with_a_score_below_the_margin_cost_nothing_in_the_asymmetric_loss(score: float) -> None:
    logit = torch.tensor([[math.log(score / (1 - score))]], requires_grad=True)
    loss = Asymmetric(np.ones(1), np.ones(1))(logit, torch.zeros(1, 1))
    loss.backward()
    assert logit.grad is not None
    assert (loss.item(), logit.grad.item()) == (0.0, 0.0)


def test_distribution_balanced_loss_is_that_of_the_papers_formulas() -> None:
    # Of six images 4, 2 and 1 have the labels.
    counts, share = np.array([4, 2, 1]), np.array([4, 2, 1]) / 6
    targets, logits = CELLS[:3].numpy().astype(np.float64), LOGITS[:3].numpy().astype(np.float64)
    label_wise = (1 / 3) * (1 / counts)
    image_wise = (1 / 3) * (targets / counts).sum(axis=1)
    weights = 0.1 + 1 / (1 + np.exp(-10 * (label_wise / image_wise[:, None] - 0.2)))
    # As in the authors' code, a rare label's logit is moved down, by kappa * log(1 / share - 1).
    moved = logits - 0.05 * np.log(1 / share - 1)
    costs = targets * np.log(1 + np.exp(-moved)) + (1 - targets) * np.log(1 + np.exp(2 * moved)) / 2
    found = build_loss("distribution_balanced", TRAIN, weighted=False)(LOGITS[:3], CELLS[:3]).item()
    assert found == pytest.approx((weights * costs).mean(), rel=1e-5)


def test_distribution_balanced_weighs_an_image_without_labels_most() -> None:
    # The ratio to a sum of nothing is taken as large, so that the sigmoid is 1; and of half the images' label the
    # logit is not moved: 1.1 * ln(1 + e^0) / 2.
    loss = build_loss("distribution_balanced", np.array([[1], [0]]), weighted=False)
    assert loss(torch.zeros(1, 1), torch.zeros(1, 1)).item() == pytest.approx(1.1 * math.log(2) / 2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("column", [[0, 0, 0], [1, 1, 1], [-1, -1, -1]])
def test_distribution_balanced_loss_is_finite_for_a_label_that_does_not_vary(column: list[int], weighted: bool) -> None:
    loss = build_loss("distribution_balanced", np.array([[value] for value in column]), weighted=weighted)
    assert torch.isfinite(loss(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]])))


def test_class_weights_are_n_over_classes_times_count() -> None:
    targets = np.array([[1, 0, 0]] * 6 + [[0, 1, 0]] * 3 + [[0, 0, 1]] * 1)
    assert class_weights(targets).tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    classes = targets.argmax(axis=1)
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    assert class_weights(targets).tolist() == pytest.approx(balanced.tolist())


def test_missing_class_does_not_count_in_class_weights() -> None:
    assert class_weights(np.array([[1, 0], [0, 1], [-1, -1]])).tolist() == [1.0, 1.0]


def test_class_that_does_not_occur_weighs_nothing() -> None:
    assert class_weights(np.array([[1, 0, 0], [0, 1, 0]])).tolist() == pytest.approx([2 / 3, 2 / 3, 0])


def test_cross_entropy_is_torchs() -> None:
    expected = cross_entropy(LOGITS, torch.tensor([0, 2, 1, 0])).item()
    assert build_loss("cross_entropy", TRAIN, weighted=False)(LOGITS, CLASSES).item() == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", BY_ROW)
@pytest.mark.parametrize("missing", [[-1.0, -1.0, -1.0], [0.0, -1.0, -1.0]])
def test_row_with_a_missing_class_costs_as_if_it_were_not_there(
    name: str, missing: list[float], weighted: bool
) -> None:
    loss = build_loss(name, TRAIN, weighted=weighted)
    targets = CLASSES.clone()
    targets[1] = torch.tensor(missing)
    assert loss(LOGITS, targets).item() == pytest.approx(loss(LOGITS[[0, 2, 3]], CLASSES[[0, 2, 3]]).item())


def test_weighted_cross_entropy_weighs_each_image_by_its_class() -> None:
    # Six images of three classes: weights 6 / (3 * 3), 6 / (3 * 2) and 6 / (3 * 1). At equal logits a row costs ln 3.
    train = np.array([[1, 0, 0]] * 3 + [[0, 1, 0]] * 2 + [[0, 0, 1]])
    loss = build_loss("cross_entropy", train, weighted=True)
    assert loss(torch.zeros(2, 3), CLASSES[:2]).item() == pytest.approx(math.log(3) * (6 / 9 + 6 / 3) / 2)


@pytest.mark.parametrize(
    ("name", "kind", "scores"),
    [
        ("bce", BinaryCrossEntropy, "sigmoid"),
        ("focal", Focal, "sigmoid"),
        ("asymmetric", Asymmetric, "sigmoid"),
        ("distribution_balanced", DistributionBalanced, "sigmoid"),
        ("cross_entropy", CrossEntropy, "softmax"),
    ],
)
def test_name_says_the_loss_and_how_logits_become_scores(name: str, kind: type[nn.Module], scores: str) -> None:
    assert {type(build_loss(name, TRAIN, weighted=weighted)) for weighted in (False, True)} == {kind}
    assert score_function(name) == scores


def test_loss_of_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="hinge"):
        build_loss("hinge", TRAIN, weighted=False)


@pytest.mark.parametrize("name", BY_CELL)
def test_weights_multiply_the_cells_of_each_loss(name: str) -> None:
    # Of six images 4, 2 and 1 have the labels: 6 / (2 * 4), 6 / (2 * 2), ...
    positive, negative = np.array([0.75, 1.5, 3.0]), np.array([1.5, 0.75, 0.6])
    plain, weighted = (build_loss(name, TRAIN, weighted=weighted) for weighted in (False, True))
    assert isinstance(plain, CellLoss)
    cells = plain.cells(LOGITS, CELLS).numpy()
    expected = (np.where(CELLS.numpy() == 1, positive, negative) * cells).mean()
    assert weighted(LOGITS, CELLS).item() == pytest.approx(expected)
    assert plain(LOGITS, CELLS).item() == pytest.approx(cells.mean())


@pytest.mark.parametrize("name", BY_CELL)
def test_value_that_no_train_row_has_costs_nothing_in_a_weighted_loss(name: str) -> None:
    loss = build_loss(name, np.array([[0], [0]]), weighted=True)
    logits = torch.zeros(1, 1, requires_grad=True)
    value = loss(logits, torch.ones(1, 1))
    value.backward()
    assert logits.grad is not None
    assert (value.item(), logits.grad.item()) == (0.0, 0.0)


def test_plain_cross_entropy_weighs_every_class_the_same() -> None:
    loss = build_loss("cross_entropy", np.array([[1, 0]] * 9 + [[0, 1]]), weighted=False)
    assert isinstance(loss, CrossEntropy)
    assert loss.weights.tolist() == [1, 1]
