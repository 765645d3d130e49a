import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import view
from counterweight.networks.distributed import Group
from counterweight.networks.loader import DeadWorkerError, Views, batches, errors_of_workers
from counterweight.training.sampler import order_of

ALONE = Group(torch.device("cpu"))


@pytest.fixture
def ten_items() -> TensorDataset:
    return TensorDataset(torch.arange(10))


@pytest.fixture
def nine_files(tmp_path: Path) -> tuple[list[Path], list[str]]:
    """Noise of different sizes, with the checksums."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(9)]
    noise = [rng.integers(0, 256, (40 + i, 50 + 2 * i, 3), dtype=np.uint8) for i in range(9)]
    return files, [codec.write(pixels, path, "png") for pixels, path in zip(noise, files, strict=True)]


def orders(items: TensorDataset, seed: int | None, workers: int = 0, epochs: int = 1) -> list[list[int]]:
    """The items of each epoch, in the order in which one loader gives them."""
    loader = batches(items, ALONE, batch_size=4, workers=workers, order=None if seed is None else order_of(10, seed))
    return [[item for (batch,) in loader for item in batch.tolist()] for _ in range(epochs)]


def sizes(items: int, *, drop_single: bool) -> list[int]:
    loader = batches(TensorDataset(torch.arange(items)), ALONE, batch_size=4, workers=0, drop_single=drop_single)
    return [len(batch) for (batch,) in loader]


def test_item_is_a_view_of_the_image_and_its_targets(nine_files: tuple[list[Path], list[str]]) -> None:
    targets = torch.tensor([[0.0, 1.0]] * 3 + [[1.0, 1.0]] * 6)
    square, target = Views(*nine_files, "centre", (16, 24), targets)[3]
    assert np.array_equal(square.numpy(), view(codec.read(nine_files[0][3]), "centre", (16, 24)))
    assert (square.shape, square.dtype) == ((24, 16, 3), torch.uint8)
    assert target.tolist() == [1.0, 1.0]


def test_without_targets_an_item_has_an_empty_second_element(nine_files: tuple[list[Path], list[str]]) -> None:
    views = Views(*nine_files, "whole", (16, 16))
    assert len(views) == 9
    assert views[0][1].shape == (0,)


def test_changed_file_is_an_error_when_it_is_asked_for(nine_files: tuple[list[Path], list[str]]) -> None:
    files, checksums = nine_files
    files[1].write_bytes(files[0].read_bytes())
    views = Views(files, checksums, "whole", (16, 16))
    with pytest.raises(InputError) as error:
        views[1]
    assert str(error.value) == f"{files[1]}: the file has changed since the manifest was written. Run dvc repro."


@pytest.mark.parametrize("workers", [0, 2])
def test_error_with_an_image_reaches_the_caller_as_it_is(
    workers: int, nine_files: tuple[list[Path], list[str]]
) -> None:
    files, checksums = nine_files
    files[1].write_bytes(files[0].read_bytes())
    with pytest.raises(InputError) as error, errors_of_workers():
        list(batches(Views(files, checksums, "whole", (16, 16)), ALONE, batch_size=4, workers=workers))
    assert str(error.value) == f"{files[1]}: the file has changed since the manifest was written. Run dvc repro."


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(KeyError, match="InputError: no"), errors_of_workers():
        raise KeyError("InputError: no")


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_in_their_order_unless_a_seed_is_given(workers: int, ten_items: TensorDataset) -> None:
    assert orders(ten_items, None, workers) == [list(range(10))]


def test_shuffled_order_has_every_item_once(ten_items: TensorDataset) -> None:
    (order,) = orders(ten_items, 3)
    assert order != list(range(10))
    assert sorted(order) == list(range(10))


def test_same_seed_gives_the_same_orders(ten_items: TensorDataset) -> None:
    assert orders(ten_items, 3, epochs=3) == orders(ten_items, 3, epochs=3)


def test_order_does_not_depend_on_torchs_generator(ten_items: TensorDataset) -> None:
    torch.manual_seed(0)
    first = orders(ten_items, 3)
    torch.manual_seed(1)
    assert orders(ten_items, 3) == first


def test_another_seed_gives_another_order(ten_items: TensorDataset) -> None:
    assert orders(ten_items, 3) != orders(ten_items, 4)


def test_each_epoch_has_an_order_of_its_own(ten_items: TensorDataset) -> None:
    first, second, third = orders(ten_items, 3, epochs=3)
    assert first != second
    assert second != third


def test_orders_of_all_epochs_are_the_same_for_any_number_of_workers(ten_items: TensorDataset) -> None:
    assert orders(ten_items, 3, workers=2, epochs=3) == orders(ten_items, 3, workers=0, epochs=3)


@pytest.mark.parametrize(("items", "found"), [(8, [4, 4]), (9, [4, 4]), (10, [4, 4, 2]), (1, [1]), (4, [4]), (5, [4])])
def test_last_batch_of_one_item_is_left_out_where_there_is_another_batch(items: int, found: list[int]) -> None:
    assert sizes(items, drop_single=True) == found


def test_last_batch_of_one_item_stays_unless_it_is_not_wanted() -> None:
    assert sizes(9, drop_single=False) == [4, 4, 1]


class Deadly(Dataset[tuple[torch.Tensor, ...]]):
    """Items of which the third kills the process that asks for it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return (torch.zeros(1),)


def test_worker_that_was_killed_is_said() -> None:
    with pytest.raises(DeadWorkerError, match="a process that reads images ended"), errors_of_workers():
        list(batches(Deadly(), ALONE, batch_size=1, workers=1))


KILLED_WORKERS = """
import multiprocessing, torch
from counterweight.networks.distributed import Group
from counterweight.networks.loader import batches

if __name__ == "__main__":
    items = torch.utils.data.TensorDataset(torch.arange(100))
    loader = iter(batches(items, Group(torch.device("cpu")), batch_size=1, workers=2))
    next(loader)
    for worker in multiprocessing.active_children():
        worker.kill()
"""


def test_killed_workers_leave_nothing_in_the_temporary_folder(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", KILLED_WORKERS], check=False, env=environment)
    assert list(tmp_path.iterdir()) == []


AFTER_LARGE_PICTURES = """
import numpy as np, torch
from counterweight.networks.distributed import Group
from counterweight.images.geometry import view
from counterweight.networks.loader import batches

if __name__ == "__main__":
    items = torch.utils.data.TensorDataset(torch.arange(2))
    for _ in range(10):
        view(np.zeros((2000, 2000, 3), np.uint8), "whole", (512, 512))
        print([batch.tolist() for (batch,) in batches(items, Group(torch.device("cpu")), batch_size=1, workers=2)])
"""


def test_workers_start_after_large_pictures_were_scaled_in_their_parent() -> None:
    command = [sys.executable, "-c", AFTER_LARGE_PICTURES]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "[[0], [1]]\n" * 10


class Priorities(Dataset[tuple[torch.Tensor, ...]]):
    """Each item is the niceness of the process that reads it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return (torch.tensor(os.nice(0)),)


@pytest.mark.parametrize(("device", "lower"), [("cpu", 10), ("cuda", 0)])
def test_workers_give_way_to_a_network_on_the_same_cores(device: str, lower: int) -> None:
    found = [batch for (batch,) in batches(Priorities(), Group(torch.device(device)), batch_size=2, workers=2)]
    assert torch.cat(found).tolist() == [min(os.nice(0) + lower, 19)] * 4
