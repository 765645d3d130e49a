from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import TensorDataset

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.metrics.training_history import best_epoch
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import ImageDataset, ImageFiles, Preprocessing
from counterweight.runtime.cache import Cache
from counterweight.training.epoch_metrics import epoch_metrics
from counterweight.training.losses import BinaryCrossEntropy, Objective
from counterweight.training.optimizer import FitConfig, OptimizerConfig
from counterweight.training.sampler import SeededSampler, build_sampler
from counterweight.training.trainer import fit
from counterweight.training.transforms import TransformedDataset
from tests.designs import design

PLAIN = BinaryCrossEntropy(np.ones(1), np.ones(1))
MEASURES = ("accuracy", "precision", "recall", "f1", "auc", "average_precision")


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
    """The same points with the opposite label: what is learned of the one is wrong of the other."""
    points, targets = separable[:]
    return TensorDataset(points, 1 - targets)


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def fitted(
    network: nn.Module,
    train: Any,
    validation: Any,
    *,
    loss: nn.Module = PLAIN,
    monitor: str = "loss",
    learning_rate: float = 0.05,
    schedule: str = "none",
    seed: int = 0,
    **changes: Any,
) -> list[dict[str, float]]:
    options: dict[str, Any] = {"epochs": 4, "patience": 9, "batch_size": 8, "workers": 0, "checkpoint": None}
    options |= {"sampler": build_sampler(len(train), seed)} | changes
    optimizer = OptimizerConfig("adam", learning_rate, 0.0, schedule, options["epochs"])
    return fit(
        network,
        Objective(loss, PLAIN, "sigmoid", monitor),
        train,
        validation,
        sampler=options["sampler"],
        config=FitConfig(optimizer, options["patience"], options["batch_size"], options["workers"]),
        group=ProcessGroup(torch.device("cpu")),
        checkpoint=options["checkpoint"],
    )


def validation_loss(network: nn.Module, rows: TensorDataset) -> float:
    inputs, targets = rows[:]
    with torch.inference_mode():
        return binary_cross_entropy_with_logits(network.eval()(inputs), targets).item()


def test_history_has_a_row_an_epoch(separable: TensorDataset) -> None:
    history = fitted(line(), separable, separable, epochs=3)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert {tuple(row) for row in history} == {
        (
            *("epoch", "train_loss", "validation_loss"),
            *("train_accuracy", "train_precision", "train_recall", "train_f1"),
            *("validation_accuracy", "validation_precision", "validation_recall", "validation_f1"),
            *("validation_auc", "validation_average_precision"),
        )
    }


def test_losses_of_a_separable_problem_fall(separable: TensorDataset) -> None:
    history = fitted(line(), separable, separable)
    for name in ("train_loss", "validation_loss"):
        losses = [row[name] for row in history]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0] / 1.2


def test_validation_loss_is_the_plain_one_whatever_the_training_loss_weighs(separable: TensorDataset) -> None:
    weighted = BinaryCrossEntropy(np.full(1, 10.0), np.full(1, 10.0))
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


def test_network_that_was_evaluated_before_is_trained_all_the_same(separable: TensorDataset) -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), line())
    fitted(network.eval(), separable, separable)
    norm = network[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_mean.abs().min() > 0


def test_parameters_that_ask_for_no_gradient_stay_as_they_were(separable: TensorDataset) -> None:
    network = line()
    network.weight.requires_grad_(False)
    before, bias = network.weight.clone(), network.bias.clone()
    fitted(network, separable, separable)
    assert torch.equal(network.weight, before)
    assert not torch.equal(network.bias, bias)


@pytest.fixture
def ten_images(tmp_path: Path) -> ImageDataset:
    """Noise, dark for the one label and bright for the other."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(10)]
    checksums = [
        codec.write(rng.integers(100 * (i % 2), 100 * (i % 2) + 120, (40, 50, 3), dtype=np.uint8), path, "png")
        for i, path in enumerate(files)
    ]
    targets = torch.tensor([[i % 2, 1 - i % 2] for i in range(10)]).float()
    return ImageDataset(ImageFiles(files, checksums), Preprocessing("none", (32, 32)), targets)


def cnn7_weights(rows: ImageDataset, epochs: int, workers: int) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    torch.manual_seed(0)
    network = Classifier(design("cnn7", None, ["dark", "bright"], 32))
    history = fitted(network, rows, rows, epochs=epochs, batch_size=4, learning_rate=1e-3, workers=workers)
    return history, network.state_dict()


def test_weights_lie_in_memory_as_those_of_a_model_that_is_loaded(ten_images: ImageDataset) -> None:
    _, weights = cnn7_weights(ten_images, epochs=1, workers=0)
    assert all(weight.is_contiguous() for weight in weights.values())


@pytest.mark.parametrize("epochs", [1, 3])
def test_same_bits_for_images_read_here_and_by_two_workers(epochs: int, ten_images: ImageDataset) -> None:
    here, by_workers = (cnn7_weights(ten_images, epochs, workers) for workers in (0, 2))
    assert by_workers[0] == here[0]
    assert all(torch.equal(by_workers[1][key], here[1][key]) for key in here[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_changed_image_is_an_error_that_names_it(workers: int, ten_images: ImageDataset) -> None:
    changed = ten_images.files.paths[3]
    changed.write_bytes(ten_images.files.paths[0].read_bytes())
    with pytest.raises(InputError) as error:
        cnn7_weights(ten_images, 1, workers)
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


def test_validation_measures_are_those_of_the_network_after_the_epoch(separable: TensorDataset) -> None:
    network = line()
    (row,) = fitted(network, separable, separable, epochs=1)
    points, targets = separable[:]
    with torch.inference_mode():
        expected = epoch_metrics([(network.eval()(points), targets)], "sigmoid", ranked=True)
    assert {name: row[f"validation_{name}"] for name in MEASURES} == pytest.approx(expected)


def test_train_measures_are_those_of_the_items_as_they_went_by(separable: TensorDataset) -> None:
    network = line()
    points, targets = separable[:]
    with torch.inference_mode():
        expected = epoch_metrics([(network(points), targets)], "sigmoid")
    history = fitted(network, separable, separable, epochs=2, learning_rate=0.0)
    for row in history:
        assert {name: row[f"train_{name}"] for name in MEASURES[:4]} == pytest.approx(expected)


@pytest.mark.parametrize("monitor", ["f1", "auc", "average_precision"])
def test_best_epoch_may_be_chosen_by_a_measure_that_rises(
    monitor: str, separable: TensorDataset, opposite: TensorDataset
) -> None:
    network = line()
    history = fitted(network, separable, opposite, epochs=6, monitor=monitor, learning_rate=0.3)
    points, targets = opposite[:]
    with torch.inference_mode():
        kept = epoch_metrics([(network.eval()(points), targets)], "sigmoid", ranked=True)
    best = best_epoch(history, monitor)
    assert kept[monitor] == pytest.approx(max(row[f"validation_{monitor}"] for row in history))
    assert best[f"validation_{monitor}"] == pytest.approx(kept[monitor])
    assert best["validation_loss"] == pytest.approx(validation_loss(network, opposite), abs=1e-5)


def test_training_stops_by_what_it_monitors(separable: TensorDataset, opposite: TensorDataset) -> None:
    history = fitted(line(), separable, opposite, epochs=20, patience=2, monitor="auc", learning_rate=0.3)
    measures = [row["validation_auc"] for row in history]
    assert len(history) == measures.index(max(measures)) + 1 + 2


def test_training_that_diverges_is_an_error_that_names_the_rate(separable: TensorDataset) -> None:
    message = r"params.yaml: train.learning_rate is 1e\+38, and in epoch [12] the training diverged"
    with pytest.raises(InputError, match=message):
        fitted(line(), separable, separable, epochs=3, learning_rate=1e38)


@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "one_cycle", "plateau"])
def test_every_schedule_trains(schedule: str, separable: TensorDataset) -> None:
    history = fitted(line(), separable, separable, epochs=4, schedule=schedule)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_cosine_does_not_move_the_weights_as_far(separable: TensorDataset) -> None:
    flat, falling = (fitted(line(), separable, separable, epochs=4, schedule=name) for name in ("none", "cosine"))
    assert falling[0]["train_loss"] == flat[0]["train_loss"]
    assert falling[-1]["validation_loss"] > flat[-1]["validation_loss"]


def test_missing_validation_cells_take_no_part(separable: TensorDataset) -> None:
    points, targets = separable[:]
    more = TensorDataset(torch.cat([points, points[:5]]), torch.cat([targets, torch.full((5, 1), -1.0)]))
    (with_missing,) = fitted(line(), separable, more, epochs=1, batch_size=45)
    (without,) = fitted(line(), separable, separable, epochs=1, batch_size=45)
    assert with_missing == pytest.approx(without)


@pytest.mark.parametrize("workers", [0, 2])
def test_transformed_images_train_to_the_same_bits_for_any_number_of_workers(
    workers: int, ten_images: ImageDataset
) -> None:
    def weights(workers: int) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = Classifier(design("cnn1", None, ["dark", "bright"], 32))
        changed = TransformedDataset(ten_images, [{"RandomHorizontalFlip": {"p": 0.5}}], (32, 32))
        order = SeededSampler(build_sampler(10, 0), 0)
        fitted(network, changed, ten_images, sampler=order, epochs=2, batch_size=4, workers=workers)
        return network.state_dict()

    here, again = weights(0), weights(workers)
    assert all(torch.equal(again[key], here[key]) for key in here)


class Cut(TensorDataset):
    """Rows that end the process's work, as a kill would, when so many have been read."""

    def __init__(self, rows: TensorDataset, reads: int) -> None:
        super().__init__(*rows.tensors)
        self.reads = reads

    def __getitem__(self, index: Any) -> Any:
        self.reads -= 1
        if self.reads < 0:
            raise RuntimeError("killed")
        return super().__getitem__(index)


def with_dropout() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 1))


@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "one_cycle", "plateau"])
@pytest.mark.parametrize("read_before", [0, 30, 40, 100, 159])
def test_training_that_was_cut_off_goes_on_to_the_same_weights(
    schedule: str, read_before: int, separable: TensorDataset, opposite: TensorDataset, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"schedule": schedule, "monitor": "auc"}
    whole = with_dropout()
    expected = fitted(whole, separable, separable, **settings)
    with pytest.raises(RuntimeError, match="killed"):
        fitted(with_dropout(), Cut(separable, read_before), separable, checkpoint=tmp_path / "a.ckpt", **settings)
    resumed = with_dropout()
    if (tmp_path / "a.ckpt").exists():
        torch.rand(7)  # The random state is that of the file, not of this process.
    assert fitted(resumed, separable, separable, checkpoint=tmp_path / "a.ckpt", **settings) == expected
    assert all(
        torch.equal(a, b) for a, b in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_order_and_transforms_go_on_too(weighted: bool, tmp_path: Path) -> None:
    squares = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8))
    rows = TensorDataset(squares, torch.tensor([[0.0], [1.0]] * 12))
    weights = np.arange(1.0, 25.0) if weighted else None

    def trained(cut: int | None, **more: Any) -> tuple[list[dict[str, float]], list[Tensor]]:
        torch.manual_seed(0)
        network = Classifier(design("cnn1", None, ["cat"], 8))
        read = TransformedDataset(
            rows if cut is None else Cut(rows, cut), [{"RandomHorizontalFlip": {"p": 0.5}}], (8, 8)
        )
        history = fitted(network, read, rows, sampler=SeededSampler(build_sampler(24, 0, weights), 0), **more)
        return history, list(network.state_dict().values())

    expected = trained(None)
    with pytest.raises(RuntimeError, match="killed"):
        trained(60, checkpoint=tmp_path / "a.ckpt")
    history, state = trained(None, checkpoint=tmp_path / "a.ckpt")
    assert history == expected[0]
    assert all(torch.equal(a, b) for a, b in zip(state, expected[1], strict=True))


@pytest.mark.parametrize("patience", [1, 9])
def test_training_that_had_ended_is_not_done_again(
    patience: int, separable: TensorDataset, opposite: TensorDataset, tmp_path: Path
) -> None:
    settings = {"patience": patience, "checkpoint": tmp_path / "a.ckpt"}
    first, second = line(), line()
    expected = fitted(first, separable, opposite, **settings)
    assert fitted(second, Cut(separable, 0), opposite, **settings) == expected
    assert torch.equal(first.weight, second.weight)


@pytest.mark.parametrize("content", [b"", b"half of a checkpoint"])
def test_damaged_file_to_go_on_from_is_as_none(content: bytes, separable: TensorDataset, tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    history = fitted(line(), separable, separable, checkpoint=tmp_path / "a.ckpt")
    assert history == fitted(line(), separable, separable)


def test_file_to_go_on_from_is_written_to_a_new_cache(separable: TensorDataset, tmp_path: Path) -> None:
    checkpoint = Cache(tmp_path / "cache", 10**9).scratch_path("training", "a")
    fitted(line(), separable, separable, checkpoint=checkpoint)
    assert checkpoint is not None
    assert [file.name for file in checkpoint.parent.iterdir()] == ["a"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_training_does_without_a_file_if_the_disk_is_full(separable: TensorDataset, tmp_path: Path) -> None:
    (tmp_path / ".a.ckpt.partial").symlink_to("/dev/full")
    history = fitted(line(), separable, separable, epochs=1, checkpoint=tmp_path / "a.ckpt")
    assert history == fitted(line(), separable, separable, epochs=1)
    assert list(tmp_path.iterdir()) == []
