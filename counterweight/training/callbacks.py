"""Lightning callbacks: the history with the best weights, and a checkpoint to resume from after a kill."""

import contextlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from counterweight.base.errors import InputError
from counterweight.metrics.training_history import best_epoch
from counterweight.training.epoch_metrics import epoch_metrics
from counterweight.training.module import LitClassifier


class History(Callback):
    """One row per epoch, and the weights of the epoch that is best by ``monitor``, the first among equals.

    A row has losses and metrics on the train batches as they were seen, and on validation.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.rows: list[dict[str, float]] = []
        self.weights: dict[str, Tensor] = {}
        self.validation: dict[str, float] = {}

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the epoch's validation metrics."""
        self.validation = _metrics(pl_module, "validation")
        pl_module.log_dict(self.validation)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row, and copy the weights if it is the best so far."""
        losses = {name: float(trainer.callback_metrics[name]) for name in ("train_loss", "validation_loss")}
        metrics = _metrics(pl_module, "train") | self.validation
        self.rows.append({"epoch": trainer.current_epoch + 1, **losses, **metrics})
        if best_epoch(self.rows, self.monitor) is self.rows[-1]:
            self.weights = {name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint stores."""
        return {"rows": self.rows, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what the checkpoint stores."""
        self.rows, self.weights = state_dict["rows"], state_dict["weights"]


def _metrics(module: LightningModule, part: str) -> dict[str, float]:
    """Return the metrics of the batches that a module has seen in an epoch, and forget the batches."""
    assert isinstance(module, LitClassifier)
    if not all(logits.isfinite().all() for logits, _ in module.seen[part]):
        raise InputError(
            f"params.yaml: train.learning_rate is {module.optimizer_config.learning_rate:g}, and in epoch "
            f"{module.current_epoch + 1} the training diverged: the network's outputs on {part} images are not finite. "
            "Set it to a tenth."
        )
    metrics = epoch_metrics(module.seen[part], module.scores, ranked=part == "validation")
    module.seen[part] = []
    return {f"{part}_{name}": value for name, value in metrics.items()}


class ResumeCheckpoint(Checkpoint):
    """Write after each epoch what the next one needs: weights, optimizer, schedule, and random states.

    Lightning calls checkpoints last, when it is known whether training stops.
    """

    def __init__(self, file: Path, generators: Sequence[torch.Generator]) -> None:
        self.file = file
        self.generators = generators
        self.rng_state: Tensor | None = None
        self.stopped = False

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random state, once."""
        if self.rng_state is not None:
            torch.set_rng_state(self.rng_state)
            self.rng_state = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        self.stopped = trainer.should_stop
        # If the file cannot be written, a kill costs time and nothing else. With several processes, the others wait for
        # the one that writes.
        aside = self.file.with_name(f".{self.file.name}.partial")
        alone = trainer.world_size == 1
        with contextlib.suppress(OSError) if alone else contextlib.nullcontext():
            trainer.save_checkpoint(aside)
            if trainer.is_global_zero:
                aside.replace(self.file)
        if trainer.is_global_zero:
            aside.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint stores."""
        return {
            "drawn": torch.get_rng_state(),
            "generators": [generator.get_state() for generator in self.generators],
            "stopped": self.stopped,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what the checkpoint stores."""
        self.rng_state = state_dict["drawn"]
        self.stopped = state_dict["stopped"]
        for generator, state in zip(self.generators, state_dict["generators"], strict=True):
            generator.set_state(state)

    def load(self) -> dict[str, Any] | None:
        """Read the file; return None if it does not exist, or is damaged and so deleted."""
        with contextlib.suppress(FileNotFoundError, zipfile.BadZipFile), zipfile.ZipFile(self.file) as parts:
            if parts.testzip() is None:
                state: dict[str, Any] = torch.load(self.file, map_location="cpu", weights_only=True)
                return state
        self.file.unlink(missing_ok=True)
        return None


class DirectCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint straight to its file. Lightning's own first builds all of it in memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, in a folder that it creates if need be; an OSError says why it cannot be written."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with Path(path).open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:
            # Where a write fails, PyTorch complains that it cannot end the file.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
