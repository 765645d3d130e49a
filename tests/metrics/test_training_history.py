import math

import pytest

from counterweight.metrics.training_history import best_epoch, unfinished


def epochs(*losses: float) -> list[dict[str, float]]:
    """One row per epoch; the F1 is 1 less the loss."""
    return [{"epoch": i, "validation_loss": loss, "validation_f1": 1 - loss} for i, loss in enumerate(losses, 1)]


def penalties(*values: tuple[float, float]) -> list[dict[str, float]]:
    """One row per penalty, with its validation loss."""
    return [
        {"epoch": i, "penalty": penalty, "validation_loss": loss, "validation_f1": 1 - loss}
        for i, (penalty, loss) in enumerate(values, 1)
    ]


def test_best_epoch_has_the_lowest_loss() -> None:
    assert best_epoch(epochs(0.5, 0.3, 0.4), "loss")["epoch"] == 2


@pytest.mark.parametrize("monitor", ["f1", "auc", "average_precision"])
def test_best_epoch_has_the_highest_value_of_any_other_metric(monitor: str) -> None:
    history = [{"epoch": i, f"validation_{monitor}": value} for i, value in enumerate([0.2, 0.7, 0.4], 1)]
    assert best_epoch(history, monitor) is history[1]


def test_best_epoch_is_that_of_the_monitored_metric() -> None:
    history = [
        {"epoch": 1, "validation_loss": 0.2, "validation_f1": 0.1},
        {"epoch": 2, "validation_loss": 0.4, "validation_f1": 0.6},
    ]
    assert (best_epoch(history, "loss")["epoch"], best_epoch(history, "f1")["epoch"]) == (1, 2)


@pytest.mark.parametrize("monitor", ["loss", "f1"])
def test_best_epoch_is_the_first_among_equals(monitor: str) -> None:
    assert best_epoch(epochs(0.5, 0.3, 0.3), monitor)["epoch"] == 2


@pytest.mark.parametrize("monitor", ["loss", "f1"])
def test_epoch_whose_metric_is_not_a_number_is_never_the_best(monitor: str) -> None:
    assert best_epoch(epochs(math.nan, 0.6, math.nan, 0.5), monitor)["epoch"] == 4


def test_first_epoch_is_the_best_if_no_metric_is_a_number() -> None:
    assert best_epoch(epochs(math.nan, math.nan), "loss")["epoch"] == 1


@pytest.mark.parametrize("monitor", ["loss", "f1"])
def test_training_whose_best_epoch_is_the_last_allowed_is_unfinished(monitor: str) -> None:
    assert (
        unfinished(epochs(0.5, 0.4, 0.3), monitor, 3)
        == "had not converged: its best epoch is its last, 3 of 3. Raise train.epochs"
    )


def test_training_of_one_epoch_is_unfinished() -> None:
    assert (
        unfinished(epochs(0.5), "loss", 1)
        == "had not converged: its best epoch is its last, 1 of 1. Raise train.epochs"
    )


@pytest.mark.parametrize("losses", [(0.5, 0.3, 0.4), (0.5, 0.3, 0.3), (0.3, 0.4, 0.5)])
def test_training_whose_last_epoch_was_no_better_is_finished(losses: tuple[float, ...]) -> None:
    assert unfinished(epochs(*losses), "loss", 3) is None


def test_training_that_ended_before_its_last_epoch_is_finished() -> None:
    assert unfinished(epochs(0.5, 0.4, 0.3), "loss", 8) is None


def test_weakest_penalty_as_the_best_asks_for_more_images_whatever_the_epochs_allowed() -> None:
    history = penalties((1.0, 0.5), (0.01, 0.4), (0.0001, 0.3))
    for max_epochs in (1, 3, 100):
        assert unfinished(history, "loss", max_epochs) == (
            "is best with the weakest penalty tried, 0.0001: more train images would help"
        )


@pytest.mark.parametrize("losses", [(0.5, 0.3, 0.4), (0.3, 0.4, 0.5)])
def test_fit_whose_best_penalty_is_another_is_finished(losses: tuple[float, float, float]) -> None:
    assert unfinished(penalties(*zip((1.0, 0.01, 0.0001), losses, strict=True)), "loss", 3) is None
