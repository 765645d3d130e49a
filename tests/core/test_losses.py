import math

import numpy as np
import pytest
import torch

from stages.core.losses import BinaryCrossEntropy, build_loss, label_weights


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
    plain = BinaryCrossEntropy(torch.ones(1), torch.ones(1))
    assert plain(torch.tensor([[logit]]), torch.tensor([[target]])).item() == pytest.approx(loss)


def test_cell_is_weighted_by_its_label_and_value() -> None:
    weighted = BinaryCrossEntropy(positive=torch.tensor([3.0, 5.0]), negative=torch.tensor([7.0, 11.0]))
    # At a logit of 0 each cell costs ln 2 before its weight.
    loss = weighted(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert loss.item() == pytest.approx(math.log(2) * (3 + 11 + 7 + 5) / 4)


def test_bce_weighs_every_cell_the_same() -> None:
    loss = build_loss("bce", np.array([[1, 0], [0, 0], [0, 0]]))
    assert (loss.positive.tolist(), loss.negative.tolist()) == ([1, 1], [1, 1])


def test_weighted_bce_has_the_weights_of_the_train_rows() -> None:
    loss = build_loss("weighted_bce", np.array([[1], [0], [0], [0], [0]]))
    assert (loss.positive.tolist(), loss.negative.tolist()) == ([2.5], [0.625])


def test_on_balanced_labels_the_weighted_loss_is_the_plain_one() -> None:
    targets = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    logits = torch.tensor([[0.3, -2.0], [1.5, 0.1], [-0.7, 0.9], [2.2, -0.4]])
    there = torch.from_numpy(targets).float()
    plain, weighted = build_loss("bce", targets), build_loss("weighted_bce", targets)
    assert weighted(logits, there).item() == plain(logits, there).item()


def test_weights_travel_with_the_loss_to_another_device() -> None:
    assert set(dict(build_loss("bce", np.array([[1], [0]])).named_buffers())) == {"positive", "negative"}
