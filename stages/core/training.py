"""Training, by Lightning: early stopping and the weights of the best epoch, chosen on validation."""

import logging
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from stages.core.optimisation import Optimisation
from stages.core.progress import epoch_measures
from stages.core.views import batches, errors_of_workers

Rows = Dataset[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Objective:
    """What a network is trained for.

    Attributes
    ----------
    loss : Module
        From logits and targets (1, 0, or -1 where missing) to a scalar; training only.
    criterion : Module
        The same without weights, for validation, so that runs with different losses and train rows can be compared.
    scores : str
        ``sigmoid`` or ``softmax``.
    monitor : str
        What chooses the best epoch, of ``loss``, ``f1``, ``auc`` and ``average_precision``.
    """

    loss: nn.Module
    criterion: nn.Module
    scores: str
    monitor: str


class _Task(LightningModule):
    """One training step, one validation step and the optimizer, in Lightning's form."""

    def __init__(self, network: nn.Module, objective: Objective, optimisation: Optimisation) -> None:
        super().__init__()
        self.network = network
        self.loss = objective.loss
        self.criterion = objective.criterion
        self.scores = objective.scores
        self.optimisation = optimisation
        self.seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        inputs, targets = batch
        logits = self.network(inputs)
        loss: Tensor = self.loss(logits, targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        self.seen.append((logits.detach().float().cpu(), targets.cpu()))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> dict[str, Tensor]:
        inputs, targets = batch
        logits = self.network(inputs)
        self.log(
            "validation_loss", self.criterion(logits, targets), on_step=False, on_epoch=True, batch_size=len(targets)
        )
        return {"logits": logits.float().cpu(), "targets": targets.cpu()}

    def configure_optimizers(self) -> Any:
        return self.optimisation.build(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            steps=int(self.trainer.estimated_stepping_batches),
        )


class _History(Callback):
    """One row an epoch: its losses and measures on train, as the images went by, and on validation."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.validated: list[tuple[Tensor, Tensor]] = []
        self.validation: dict[str, float] = {}

    def on_validation_batch_end(self, _trainer: Trainer, _module: LightningModule, outputs: Any, *_: Any) -> None:
        self.validated.append((outputs["logits"], outputs["targets"]))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, _Task)
        self.validation = epoch_measures(self.validated, pl_module.scores, ranked=True)
        self.validated = []
        pl_module.log_dict({f"validation_{name}": value for name, value in self.validation.items()})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, _Task)
        losses: Mapping[str, Any] = trainer.callback_metrics
        train = epoch_measures(pl_module.seen, pl_module.scores)
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


def fit(
    network: nn.Module,
    objective: Objective,
    train: Rows,
    validation: Rows,
    *,
    order: Sampler[Any],
    optimisation: Optimisation,
    epochs: int,
    patience: int,
    batch_size: int,
    device: torch.device,
    workers: int,
) -> list[dict[str, float]]:
    """Train a network in place, and leave it with the weights of its best epoch.

    On the CPU the outcome is the same to the bit for the same seeds and number of threads, whatever the number of
    workers. On a GPU, training runs in bfloat16 mixed precision and with deterministic algorithms where there are.

    Parameters
    ----------
    network : Module
        From a batch of inputs to logits.
    objective : Objective
        Loss, criterion and what chooses the best epoch.
    train, validation : Dataset
        Pairs of input and targets.
    order : Sampler
        In which ``train`` is seen; see `stages.core.sampling`.
    optimisation : Optimisation
        Optimizer and schedule.
    epochs, patience : int
        Most passes over ``train``, and how many may follow the best one.
    batch_size : int
        Items a step; a last batch of one item is left out, for batch norm cannot use it.
    device : torch.device
        Where to compute.
    workers : int
        Processes that read images; 0 reads in this one.

    Returns
    -------
    list of dict
        For each epoch run: ``epoch`` (from 1), ``train_loss``, ``validation_loss`` (of the criterion), and for both
        ``train`` and ``validation`` the measures of `stages.core.progress.epoch_measures`.
    """
    _hush()
    on_gpu = device.type == "cuda"
    history = _History()
    task = _Task(network, objective, optimisation)
    monitor, mode = f"validation_{objective.monitor}", "min" if objective.monitor == "loss" else "max"
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, "best", monitor=monitor, mode=mode, save_weights_only=True)
        trainer = Trainer(
            accelerator="gpu" if on_gpu else device.type,
            devices=[device.index or 0] if on_gpu else 1,
            precision="bf16-mixed" if on_gpu else "32-true",
            deterministic="warn",
            max_epochs=epochs,
            # The history comes first: it logs the measures that the others look at.
            callbacks=[history, EarlyStopping(monitor, patience=patience, mode=mode), best],
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            num_sanity_val_steps=0,
        )
        read = partial(batches, batch_size=batch_size, workers=workers, pin_memory=on_gpu)
        with errors_of_workers():
            trainer.fit(task, read(train, order=order, drop_single=True), read(validation))
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    task.cpu().load_state_dict(state)
    return history.rows


def best_epoch(history: list[dict[str, float]], monitor: str) -> dict[str, float]:
    """The row of the epoch whose weights `fit` left in the network; the first among equals."""
    sign = -1 if monitor == "loss" else 1
    return max(history, key=lambda row: sign * row[f"validation_{monitor}"])


def _hush() -> None:
    """Lightning greets, advertises, and advises on workers; a stage's log says what the stage did."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
