import pytest
import torch

from counterweight.training.epoch_metrics import epoch_metrics


def test_measures_of_labels_at_a_half() -> None:
    # First label: given to images 1, 2 and 4, there on 1 and 3. Second: given to 1, there on 1 and 2.
    logits = torch.tensor([[2.0, 1.0], [0.0, -1.0], [-1.0, -3.0], [1.0, -2.0]])
    targets = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert epoch_metrics([(logits, targets)], "sigmoid") == pytest.approx(
        {
            "accuracy": 4 / 8,
            "precision": (1 / 3 + 1) / 2,
            "recall": (1 / 2 + 1 / 2) / 2,
            "f1": (2 / 5 + 2 / 3) / 2,
        }
    )


def test_batches_are_taken_together() -> None:
    logits = torch.tensor([[2.0], [0.0], [-1.0], [1.0], [-2.0]])
    targets = torch.tensor([[1.0], [0.0], [1.0], [0.0], [0.0]])
    whole = epoch_metrics([(logits, targets)], "sigmoid", ranked=True)
    parts = [(logits[:2], targets[:2]), (logits[2:], targets[2:])]
    assert epoch_metrics(parts, "sigmoid", ranked=True) == whole


def test_class_given_is_the_one_with_the_highest_score() -> None:
    # Given: classes 0, 1, 1, 2; there: 0, 1, 2, 2. No score is above a half in the last row.
    logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.1]])
    targets = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, 1.0]])
    assert epoch_metrics([(logits, targets)], "softmax") == pytest.approx(
        {
            "accuracy": 3 / 4,
            "precision": (1 + 1 / 2 + 1) / 3,
            "recall": (1 + 1 + 1 / 2) / 3,
            "f1": (1 + 2 / 3 + 2 / 3) / 3,
        }
    )


def test_ranked_measures_need_no_threshold() -> None:
    # Positives at ranks 1 and 3 of four: 3 of 4 pairs in order, precision 1 / 1 and 2 / 3 at the positives.
    logits = torch.tensor([[-1.0], [-2.0], [-3.0], [-4.0]])
    targets = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    found = epoch_metrics([(logits, targets)], "sigmoid", ranked=True)
    assert (found["auc"], found["average_precision"]) == pytest.approx((3 / 4, (1 + 2 / 3) / 2))


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_missing_row_counts_as_if_it_were_not_there(scores: str) -> None:
    logits = torch.tensor([[2.0, 1.0], [-1.0, 0.5], [0.5, -3.0]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    with_missing = torch.cat([targets, torch.full((1, 2), -1.0)])
    longer = torch.cat([logits, torch.tensor([[9.0, 9.0]])])
    found = epoch_metrics([(longer, with_missing)], scores, ranked=True)
    assert found == pytest.approx(epoch_metrics([(logits, targets)], scores, ranked=True))


def test_missing_cell_does_not_count() -> None:
    logits, targets = torch.tensor([[2.0], [1.0], [-1.0]]), torch.tensor([[1.0], [-1.0], [0.0]])
    found = epoch_metrics([(logits, targets)], "sigmoid", ranked=True)
    assert set(found.values()) == {1.0}


@pytest.mark.parametrize("cell", [0.0, -1.0])
def test_what_is_not_defined_is_0(cell: float) -> None:
    found = epoch_metrics([(torch.zeros(3, 2), torch.full((3, 2), cell))], "sigmoid", ranked=True)
    assert set(found.values()) == {0.0}
