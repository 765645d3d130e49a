from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import TensorDataset

from stages.core import images
from stages.core.classifiers import Classifier, Design
from stages.core.errors import InputError
from stages.core.losses import BinaryCrossEntropy
from stages.core.training import fit
from stages.core.views import Views

PLAIN = BinaryCrossEntropy(torch.ones(1), torch.ones(1))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def separable() -> TensorDataset:
    """Points of a plane whose label is the sign of their first coordinate."""
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32))
    return TensorDataset(points, (points[:, :1] > 0).float())


@pytest.fixture
def opposite(separable: TensorDataset) -> TensorDataset:
    """The same points with the opposite label: what is learnt of the one is wrong of the other."""
    points, targets = separable[:]
    return TensorDataset(points, 1 - targets)


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def fitted(
    network: nn.Module, train: Any, validation: Any, *, loss: nn.Module = PLAIN, **changes: Any
) -> list[dict[str, float]]:
    settings = {
        "epochs": 4,
        "patience": 9,
        "batch_size": 8,
        "learning_rate": 0.05,
        "seed": 0,
        "device": torch.device("cpu"),
        "workers": 0,
    }
    return fit(network, loss, train, validation, **(settings | changes))


def validation_loss(network: nn.Module, rows: TensorDataset) -> float:
    inputs, targets = rows[:]
    with torch.inference_mode():
        return binary_cross_entropy_with_logits(network.eval()(inputs), targets).item()


def test_history_has_a_row_an_epoch(separable: TensorDataset) -> None:
    history = fitted(line(), separable, separable, epochs=3)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert {tuple(row) for row in history} == {("epoch", "train_loss", "validation_loss")}


def test_losses_of_a_separable_problem_fall(separable: TensorDataset) -> None:
    history = fitted(line(), separable, separable)
    for name in ("train_loss", "validation_loss"):
        losses = [row[name] for row in history]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0] / 1.2


def test_validation_loss_is_the_plain_one_whatever_the_training_loss_weighs(separable: TensorDataset) -> None:
    weighted = BinaryCrossEntropy(torch.full((1,), 10.0), torch.full((1,), 10.0))
    network = line()
    (row,) = fitted(network, separable, separable, loss=weighted, epochs=1)
    assert row["validation_loss"] == pytest.approx(validation_loss(network, separable), abs=1e-6)
    assert row["train_loss"] > 5 * row["validation_loss"]


def test_losses_are_means_over_items_not_over_batches(separable: TensorDataset) -> None:
    # Batches of 16, 16 and 8 without learning: the loss of all items together, in training as in validation.
    network = line()
    expected = validation_loss(network, separable)
    (row,) = fitted(network, separable, separable, epochs=1, batch_size=16, learning_rate=0.0)
    assert row["train_loss"] == pytest.approx(expected, abs=1e-6)
    assert row["validation_loss"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_when_so_many_epochs_have_followed_the_best(
    patience: int, separable: TensorDataset, opposite: TensorDataset
) -> None:
    history = fitted(line(), separable, opposite, patience=patience, epochs=20)
    losses = [row["validation_loss"] for row in history]
    assert losses == sorted(losses)
    assert len(history) == 1 + patience


def test_network_is_left_with_the_weights_of_its_best_epoch(separable: TensorDataset, opposite: TensorDataset) -> None:
    network = line()
    history = fitted(network, separable, opposite, epochs=4)
    losses = [row["validation_loss"] for row in history]
    assert len(losses) == 4
    assert min(losses) < losses[-1]
    assert validation_loss(network, opposite) == pytest.approx(min(losses), abs=1e-6)


def test_best_epoch_may_be_the_last(separable: TensorDataset) -> None:
    network = line()
    history = fitted(network, separable, separable)
    assert validation_loss(network, separable) == pytest.approx(history[-1]["validation_loss"], abs=1e-6)


def test_same_seed_gives_the_same_bits(separable: TensorDataset) -> None:
    one, two = line(), line()
    assert fitted(one, separable, separable) == fitted(two, separable, separable)
    assert torch.equal(one.weight, two.weight)


def test_outcome_does_not_depend_on_torchs_generator(separable: TensorDataset) -> None:
    one, two = line(), line()
    torch.manual_seed(1)
    fitted(one, separable, separable)
    torch.manual_seed(2)
    fitted(two, separable, separable)
    assert torch.equal(one.weight, two.weight)


def test_another_seed_gives_another_outcome(separable: TensorDataset) -> None:
    one, two = line(), line()
    assert fitted(one, separable, separable, seed=1) != fitted(two, separable, separable, seed=2)
    assert not torch.equal(one.weight, two.weight)


def test_last_batch_of_one_item_does_not_disturb_batch_norm(separable: TensorDataset) -> None:
    nine = TensorDataset(*separable[:9])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    assert len(fitted(network, nine, nine, epochs=1)) == 1


def test_parameters_that_ask_for_no_gradient_stay_as_they_were(separable: TensorDataset) -> None:
    network = line()
    network.weight.requires_grad_(False)
    before, bias = network.weight.clone(), network.bias.clone()
    fitted(network, separable, separable)
    assert torch.equal(network.weight, before)
    assert not torch.equal(network.bias, bias)


@pytest.fixture
def ten_images(tmp_path: Path) -> Views:
    """Noise, dark for the one label and bright for the other."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(10)]
    checksums = [
        images.write(rng.integers(100 * (i % 2), 100 * (i % 2) + 120, (40, 50, 3), dtype=np.uint8), path, "png")
        for i, path in enumerate(files)
    ]
    targets = torch.tensor([[i % 2, 1 - i % 2] for i in range(10)]).float()
    return Views(files, checksums, "whole", 32, targets)


def cnn7_weights(rows: Views, epochs: int, workers: int) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    torch.manual_seed(0)
    network = Classifier(Design("cnn7", "", ["dark", "bright"], "whole", 32))
    history = fitted(network, rows, rows, epochs=epochs, batch_size=4, learning_rate=1e-3, workers=workers)
    return history, network.state_dict()


@pytest.mark.parametrize("epochs", [1, 3])
def test_same_bits_for_images_read_here_and_by_two_workers(epochs: int, ten_images: Views) -> None:
    here, by_workers = (cnn7_weights(ten_images, epochs, workers) for workers in (0, 2))
    assert by_workers[0] == here[0]
    assert all(torch.equal(by_workers[1][key], here[1][key]) for key in here[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_changed_image_is_an_error_that_names_it(workers: int, ten_images: Views) -> None:
    changed = ten_images.files[3]
    changed.write_bytes(ten_images.files[0].read_bytes())
    with pytest.raises(InputError) as error:
        cnn7_weights(ten_images, 1, workers)
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."
