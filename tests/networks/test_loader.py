import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import network_view
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import (
    DeadWorkerError,
    ImageDataset,
    ImageFiles,
    Preprocessing,
    build_loader,
    worker_errors,
)
from counterweight.training.sampler import build_sampler
from tests.workspace import PROJECT

SINGLE = ProcessGroup(torch.device("cpu"))


@pytest.fixture
def ten_items() -> TensorDataset:
    return TensorDataset(torch.arange(10))


@pytest.fixture
def nine_files(tmp_path: Path) -> ImageFiles:
    """Noise of different sizes."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    noise = [rng.integers(0, 256, (40 + i, 50 + 2 * i, 3), dtype=np.uint8) for i in range(9)]
    return ImageFiles(paths, [codec.write(pixels, path, "png") for pixels, path in zip(noise, paths, strict=True)])


def orders(items: TensorDataset, seed: int | None, workers: int = 0, epochs: int = 1) -> list[list[int]]:
    """Items of each epoch, in the order of the loader."""
    loader = build_loader(
        items, SINGLE, batch_size=4, workers=workers, sampler=None if seed is None else build_sampler(10, seed)
    )
    return [[item for (batch,) in loader for item in batch.tolist()] for _ in range(epochs)]


def sizes(items: int, *, drop_single: bool) -> list[int]:
    loader = build_loader(TensorDataset(torch.arange(items)), SINGLE, batch_size=4, workers=0, drop_single=drop_single)
    return [len(batch) for (batch,) in loader]


def test_a_sample_is_the_files_with_the_smallest_checksums_in_any_order() -> None:
    files = ImageFiles([Path("a"), Path("b"), Path("c")], ["3", "1", "2"])
    expected = ImageFiles([Path("b"), Path("c")], ["1", "2"])
    assert files.sample(2) == files.take([2, 1, 0]).sample(2) == expected
    assert expected.sample(2) == expected


def test_item_is_the_preprocessed_image_and_its_targets(nine_files: ImageFiles) -> None:
    targets = torch.tensor([[0.0, 1.0]] * 3 + [[1.0, 1.0]] * 6)
    view, target = ImageDataset(nine_files, Preprocessing("center", (16, 24)), targets)[3]
    assert np.array_equal(view.numpy(), network_view(codec.read(nine_files.paths[3]), "center", (16, 24)))
    assert (view.shape, view.dtype) == ((24, 16, 3), torch.uint8)
    assert target.tolist() == [1.0, 1.0]


def test_without_targets_an_item_has_an_empty_second_element(nine_files: ImageFiles) -> None:
    dataset = ImageDataset(nine_files, Preprocessing("none", (16, 16)))
    assert len(dataset) == 9
    assert dataset[0][1].shape == (0,)


def test_changed_file_is_an_error_when_it_is_read(nine_files: ImageFiles) -> None:
    changed = nine_files.paths[1]
    changed.write_bytes(nine_files.paths[0].read_bytes())
    dataset = ImageDataset(nine_files, Preprocessing("none", (16, 16)))
    with pytest.raises(InputError) as error:
        dataset[1]
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


@pytest.mark.parametrize("workers", [0, 2])
def test_error_of_a_worker_keeps_its_message(workers: int, nine_files: ImageFiles) -> None:
    changed = nine_files.paths[1]
    changed.write_bytes(nine_files.paths[0].read_bytes())
    dataset = ImageDataset(nine_files, Preprocessing("none", (16, 16)))
    with pytest.raises(InputError) as error, worker_errors():
        list(build_loader(dataset, SINGLE, batch_size=4, workers=workers))
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


def test_other_errors_are_not_changed() -> None:
    with pytest.raises(KeyError, match="InputError: no"), worker_errors():
        raise KeyError("InputError: no")


@pytest.mark.parametrize("workers", [0, 2])
def test_items_keep_their_order_without_a_sampler(workers: int, ten_items: TensorDataset) -> None:
    assert orders(ten_items, None, workers) == [list(range(10))]


def test_shuffled_order_contains_every_item_once(ten_items: TensorDataset) -> None:
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


def test_each_epoch_has_another_order(ten_items: TensorDataset) -> None:
    first, second, third = orders(ten_items, 3, epochs=3)
    assert first != second
    assert second != third


def test_orders_of_all_epochs_are_the_same_for_any_number_of_workers(ten_items: TensorDataset) -> None:
    assert orders(ten_items, 3, workers=2, epochs=3) == orders(ten_items, 3, workers=0, epochs=3)


@pytest.mark.parametrize(("items", "found"), [(8, [4, 4]), (9, [4, 4]), (10, [4, 4, 2]), (1, [1]), (4, [4]), (5, [4])])
def test_last_batch_of_one_item_is_dropped_unless_it_is_the_only_one(items: int, found: list[int]) -> None:
    assert sizes(items, drop_single=True) == found


def test_last_batch_of_one_item_is_kept_by_default() -> None:
    assert sizes(9, drop_single=False) == [4, 4, 1]


class Deadly(Dataset[tuple[torch.Tensor, ...]]):
    """Four items; reading the third kills the process."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return (torch.zeros(1),)


def test_killed_worker_is_an_error() -> None:
    with pytest.raises(DeadWorkerError, match="a process that reads images was killed"), worker_errors():
        list(build_loader(Deadly(), SINGLE, batch_size=1, workers=1))


KILLED_WORKERS = """
import multiprocessing, time, torch
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import build_loader

if __name__ == "__main__":
    items = torch.utils.data.TensorDataset(torch.arange(100))
    loader = iter(build_loader(items, ProcessGroup(torch.device("cpu")), batch_size=1, workers=2))
    next(loader)
    try:
        for worker in multiprocessing.active_children():
            worker.kill()
        time.sleep(60)
    except RuntimeError as error:
        print(error)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_killed_workers_leave_nothing_in_the_temporary_folder(temporary: Path) -> None:
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-c", KILLED_WORKERS]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=PROJECT)
    assert "is killed by signal" in result.stdout
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(("length", "end"), [(70, "2 batches"), (80, "the path of the temporary folder has 80 bytes")])
def test_a_temporary_folder_whose_path_is_too_long_for_sockets_is_an_error(
    temporary: Path, length: int, end: str
) -> None:
    folder = Path(f"{temporary}/{'x' * 99}"[:length])
    folder.mkdir()
    program = """
import torch
from counterweight.base.errors import InputError
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import build_loader

items = torch.utils.data.TensorDataset(torch.arange(2))
try:
    loader = build_loader(items, ProcessGroup(torch.device("cpu")), batch_size=1, workers=1)
    print(len(list(loader)), "batches")
except InputError as error:
    print(error)
"""
    environment = os.environ | {"TMPDIR": str(folder)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=PROJECT)
    assert end in result.stdout


AFTER_LARGE_IMAGES = """
import numpy as np, torch
from counterweight.networks.distributed import ProcessGroup
from counterweight.images.geometry import network_view
from counterweight.networks.loader import build_loader

if __name__ == "__main__":
    items = torch.utils.data.TensorDataset(torch.arange(2))
    for _ in range(10):
        network_view(np.zeros((2000, 2000, 3), np.uint8), "none", (512, 512))
        loader = build_loader(items, ProcessGroup(torch.device("cpu")), batch_size=1, workers=2)
        print([batch.tolist() for (batch,) in loader])
"""


def test_workers_start_after_the_parent_resized_large_images() -> None:
    command = [sys.executable, "-c", AFTER_LARGE_IMAGES]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "[[0], [1]]\n" * 10


class Priorities(Dataset[tuple[torch.Tensor, ...]]):
    """Each item is the niceness of the process that reads it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return (torch.tensor(os.nice(0)),)


@pytest.mark.parametrize(("device", "lower"), [("cpu", 10), ("cuda", 0)])
def test_workers_have_lower_priority_if_the_network_is_on_the_cpu(device: str, lower: int) -> None:
    found = [
        batch for (batch,) in build_loader(Priorities(), ProcessGroup(torch.device(device)), batch_size=2, workers=2)
    ]
    assert torch.cat(found).tolist() == [min(os.nice(0) + lower, 19)] * 4


JOINED = """
import os, sys
import torch
from torch import distributed
from torch.utils.data import Dataset
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import build_loader

class Parents(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return torch.tensor([os.getpid(), os.getppid()])

if __name__ == "__main__":
    if sys.argv[1] == "joined":
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    loader = build_loader(Parents(), ProcessGroup(torch.device("cpu")), batch_size=4, workers=2)
    pairs = torch.cat(list(loader)).tolist()
    print(all(parent == os.getpid() for _, parent in pairs), *{worker for worker, _ in pairs}, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("how", "forked_here"), [("alone", "True"), ("joined", "False")])
def test_workers_are_not_forked_from_a_process_that_has_joined_others_and_end_with_it(
    how: str, forked_here: str, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(JOINED)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, str(tmp_path / "script.py"), how]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=False, env=environment)
    forked, *workers = done.stdout.split()
    assert (forked, len(workers)) == (forked_here, 2)
    for _ in range(300):
        left = [worker for worker in workers if Path(f"/proc/{worker}").exists()]
        if not left:
            break
        time.sleep(0.1)
    assert left == []
