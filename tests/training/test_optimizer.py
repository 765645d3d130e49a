from typing import Any

import pytest
import torch
from torch import nn, optim

from counterweight.training.optimizer import OptimizerConfig


def built(steps: int = 30, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 0.0,
        "schedule": "none",
        "epochs": 9,
    }
    return OptimizerConfig(**(settings | changes)).build([nn.Parameter(torch.zeros(1))], steps=steps)


def rates(turns: int, **changes: Any) -> list[float]:
    """The learning rate of each turn, an epoch or a step."""
    made = built(**changes)
    schedule = made["lr_scheduler"]
    schedule = schedule["scheduler"] if isinstance(schedule, dict) else schedule
    found = []
    for _ in range(turns):
        found.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", optim.Adam), ("adamw", optim.AdamW), ("adadelta", optim.Adadelta), ("sgd", optim.SGD)],
)
def test_optimizer_is_torchs_of_that_name_with_rate_and_decay(name: str, kind: type[optim.Optimizer]) -> None:
    settings = OptimizerConfig(name, 0.01, 0.5, "none", 1)
    optimizer = settings.build([nn.Parameter(torch.zeros(1, 1))], steps=1)["optimizer"]
    assert type(optimizer) is kind
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.01, 0.5)]


def test_body_has_its_own_rate_and_biases_do_not_decay() -> None:
    body, head = nn.Linear(3, 2), nn.Linear(2, 1)
    optimizer = OptimizerConfig("sgd", 0.1, 0.5, "none", 1, backbone_lr_scale=0.01).build(
        [*body.parameters(), *head.parameters()], backbone=list(body.parameters()), steps=1
    )["optimizer"]
    settings = {id(each): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for each in g["params"]}
    assert settings == {
        id(head.weight): (0.1, 0.5),
        id(head.bias): (0.1, 0.0),
        id(body.weight): (pytest.approx(0.001), 0.5),
        id(body.bias): (pytest.approx(0.001), 0.0),
    }


def test_sgd_has_nesterov_momentum_of_0_9() -> None:
    defaults = built()["optimizer"].defaults
    assert (defaults["momentum"], defaults["nesterov"]) == (0.9, True)


def test_without_a_schedule_there_is_none() -> None:
    assert set(built()) == {"optimizer"}


def test_step_is_a_tenth_after_each_third_of_the_epochs() -> None:
    assert rates(9, schedule="step") == pytest.approx([0.1] * 3 + [0.01] * 3 + [0.001] * 3)


@pytest.mark.parametrize("epochs", [1, 2])
def test_step_of_few_epochs_has_a_schedule_too(epochs: int) -> None:
    assert rates(epochs, schedule="step", epochs=epochs)[0] == pytest.approx(0.1)


def test_cosine_falls_to_0() -> None:
    # Of 4 epochs: (1 + cos(0, 45, 90, 135, 180 degrees)) / 2.
    expected = [0.1, 0.0853553, 0.05, 0.0146447, 0.0]
    assert rates(5, schedule="cosine", epochs=4) == pytest.approx(expected, abs=1e-6)


def test_one_cycle_goes_up_for_0_3_of_the_steps_and_then_down() -> None:
    found = rates(30, schedule="one_cycle")
    assert found[0] == pytest.approx(0.1 / 25)
    assert found.index(max(found)) == 8
    assert max(found) == pytest.approx(0.1)
    assert found[-1] < 1e-5
    assert built(schedule="one_cycle")["lr_scheduler"]["interval"] == "step"


def test_one_cycle_of_a_single_step_does_not_fail() -> None:
    (rate,) = rates(1, steps=1, schedule="one_cycle")
    assert 0 < rate <= 0.1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adadelta", "sgd"])
@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "one_cycle", "plateau"])
def test_every_optimizer_takes_every_schedule(optimizer: str, schedule: str) -> None:
    assert type(built(optimizer=optimizer, schedule=schedule)["optimizer"]).__name__.lower() == optimizer


def test_plateau_halves_after_three_epochs_without_a_better_validation_loss() -> None:
    made = built(schedule="plateau")
    plateau = made["lr_scheduler"]["scheduler"]
    found = []
    for loss in (1.0, 1.0, 1.0, 1.0, 1.0):
        plateau.step(loss)
        found.append(made["optimizer"].param_groups[0]["lr"])
    assert made["lr_scheduler"]["monitor"] == "validation_loss"
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05])


@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "one_cycle", "plateau"])
def test_body_has_its_part_of_the_learning_rate(schedule: str) -> None:
    head, body = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    made = OptimizerConfig("adamw", 0.1, 0.0, schedule, 9, 0.25).build([head, body], backbone=[body], steps=30)
    first, second = made["optimizer"].param_groups
    assert (first["params"], second["params"]) == ([head], [body])
    assert second["lr"] == pytest.approx(first["lr"] / 4)


def test_whole_rate_for_the_body_makes_no_difference() -> None:
    head, body = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    made = OptimizerConfig("adamw", 0.1, 0.0, "none", 9, 1.0).build([body, head], backbone=[body], steps=30)
    assert [group["params"] for group in made["optimizer"].param_groups] == [[body, head]]
