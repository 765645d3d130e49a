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


def test_file_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Parent directory"):
        DirectCheckpointIO().save_checkpoint({"weights": torch.zeros(3)}, tmp_path / "no folder" / "a.ckpt")
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="unexpected pos"):
            DirectCheckpointIO().save_checkpoint({"weights": torch.zeros(1_000_000)}, "/dev/full")
