import errno
import tracemalloc
from pathlib import Path

import pytest
import torch

from counterweight.training.callbacks import DirectCheckpointIO


def test_checkpoint_is_not_built_in_memory_before_it_is_written(tmp_path: Path) -> None:
    checkpoint = {"weights": torch.arange(5_000_000.0)}
    tracemalloc.start()
    try:
        DirectCheckpointIO().save_checkpoint(checkpoint, tmp_path / "a.ckpt")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert torch.equal(torch.load(tmp_path / "a.ckpt", weights_only=True)["weights"], checkpoint["weights"])


def test_file_that_cannot_be_written_is_an_oserror_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        DirectCheckpointIO().save_checkpoint({"weights": torch.zeros(3)}, tmp_path / "file" / "a.ckpt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("numbers", [3, 5_000_000])
def test_full_disk_is_said_to_be_full(numbers: int) -> None:
    with pytest.raises(OSError, match="No space left") as error:
        DirectCheckpointIO().save_checkpoint({"weights": torch.zeros(numbers)}, "/dev/full")
    assert error.value.errno == errno.ENOSPC


class Broken:
    """Something that PyTorch cannot copy from a device."""

    def __reduce__(self) -> str:
        raise RuntimeError("CUDA error: out of memory")


def test_error_that_is_not_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="CUDA error"):
        DirectCheckpointIO().save_checkpoint({"weights": Broken()}, tmp_path / "a.ckpt")
