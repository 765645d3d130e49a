"""Lightning callbacks: the history, the best weights, and a checkpoint to resume from after a kill."""

import contextlib
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from counterweight.runtime.progress import LogProgress
from counterweight.training.epoch_metrics import epoch_metrics
from counterweight.training.module import LitClassifier


class History(Callback):
    """One row per epoch: losses and metrics on the train batches as they were seen, and on validation."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.validated: list[tuple[Tensor, Tensor]] = []
        self.validation: dict[str, float] = {}

    def on_validation_batch_end(self, _trainer: Trainer, _module: LightningModule, outputs: Any, *_: Any) -> None:
        """Collect a batch."""
        self.validated.append((outputs["logits"], outputs["targets"]))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the epoch's validation metrics."""
        assert isinstance(pl_module, LitClassifier)
        self.validation = epoch_metrics(self.validated, pl_module.scores, ranked=True)
        self.validated = []
        pl_module.log_dict({f"validation_{name}": value for name, value in self.validation.items()})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row."""
        assert isinstance(pl_module, LitClassifier)
        losses: Mapping[str, Any] = trainer.callback_metrics
        train = epoch_metrics(pl_module.seen, pl_module.scores)
        pl_module.seen = []
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "train_loss": float(losses["train_loss"]),
                "validation_loss": float(losses["validation_loss"]),
                **{f"train_{name}": value for name, value in train.items()},
                **{f"validation_{name}": value for name, value in self.validation.items()},
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint stores."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what the checkpoint stores."""
        self.rows = state_dict["rows"]


class BestWeights(Callback):
    """The weights of the best epoch, the first among equals."""

    def __init__(self, history: History, monitor: str) -> None:
        self.history = history
        self.monitor = monitor
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the weights if the epoch is the best so far."""
        if best_epoch(self.history.rows, self.monitor) is self.history.rows[-1]:
            self.weights = {name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint stores."""
        return {"weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what the checkpoint stores."""
        self.weights = state_dict["weights"]


class EpochLog(Callback):
    """Progress of the training in the log."""

    def __init__(self, lines: LogProgress) -> None:
        self.lines = lines

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the epoch."""
        self.lines.update(1)


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
        """Read the file; return None if it does not exist, and delete it if it is damaged."""
        try:
            with zipfile.ZipFile(self.file) as parts:
                damaged = parts.testzip() is not None
        except FileNotFoundError:
            return None
        except zipfile.BadZipFile:
            damaged = True
        if damaged:
            self.file.unlink(missing_ok=True)
            return None
        state: dict[str, Any] = torch.load(self.file, map_location="cpu", weights_only=True)
        return state


def best_epoch(history: list[dict[str, float]], monitor: str) -> dict[str, float]:
    """Return the row of the epoch whose weights `fit` leaves in the network; the first among equals."""
    sign = -1 if monitor == "loss" else 1

    def gain(row: dict[str, float]) -> float:
        value = sign * row[f"validation_{monitor}"]
        return -math.inf if math.isnan(value) else value

    return max(history, key=gain)


def callback_state(checkpoint: dict[str, Any], callback: type[Callback]) -> dict[str, Any]:
    """Return the state of one of these callbacks in a checkpoint."""
    state: dict[str, Any] = checkpoint["callbacks"][callback.__qualname__]
    return state
