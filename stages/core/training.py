"""Training, by Lightning: Adam, early stopping on the validation loss, and the weights of the best epoch."""

import logging
import sys
import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from stages.core.views import batches, errors_of_workers

Rows = Dataset[tuple[Tensor, ...]]


class _Task(LightningModule):
    """One training step, one validation step and the optimiser, in Lightning's form."""

    def __init__(self, network: nn.Module, loss: nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.learning_rate = learning_rate

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        inputs, targets = batch
        loss: Tensor = self.loss(self.network(inputs), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        inputs, targets = batch
        # Without the weights of the train rows, so that the arms can be compared.
        loss = binary_cross_entropy_with_logits(self.network(inputs), targets)
        self.log("validation_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            (parameter for parameter in self.network.parameters() if parameter.requires_grad), lr=self.learning_rate
        )


class _History(Callback):
    """One row an epoch: its losses on train and validation."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        losses: Mapping[str, Any] = trainer.callback_metrics
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "train_loss": float(losses["train_loss"]),
                "validation_loss": float(losses["validation_loss"]),
            }
        )


def fit(
    network: nn.Module,
    loss: nn.Module,
    train: Rows,
    validation: Rows,
    *,
    epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    workers: int,
) -> list[dict[str, float]]:
    """Train a network in place, and leave it with the weights of its best epoch.

    On the CPU the outcome is the same to the bit for the same seed and number of threads, whatever the number of
    workers. On a GPU, training runs in bfloat16 mixed precision and with deterministic algorithms where there are.

    Parameters
    ----------
    network : Module
        From a batch of inputs to logits.
    loss : Module
        From logits and targets to a scalar; only training uses it.
    train, validation : Dataset
        Pairs of input and targets.
    epochs, patience : int
        Most passes over ``train``, and how many may follow the best one.
    batch_size : int
        Items a step; a last batch of one item is left out, for batch norm cannot use it.
    learning_rate : float
        Of Adam.
    seed : int
        Of the order of the items.
    device : torch.device
        Where to compute.
    workers : int
        Processes that read images; 0 reads in this one.

    Returns
    -------
    list of dict
        For each epoch run: ``epoch`` (from 1), ``train_loss``, ``validation_loss`` (plain binary cross-entropy).
    """
    _hush()
    on_gpu = device.type == "cuda"
    history = _History()
    task = _Task(network, loss, learning_rate)
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, "best", monitor="validation_loss", save_weights_only=True)
        trainer = Trainer(
            accelerator="gpu" if on_gpu else device.type,
            devices=[device.index or 0] if on_gpu else 1,
            precision="bf16-mixed" if on_gpu else "32-true",
            deterministic="warn",
            max_epochs=epochs,
            callbacks=[EarlyStopping("validation_loss", patience=patience), best, history],
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            num_sanity_val_steps=0,
        )
        read = partial(batches, batch_size=batch_size, workers=workers, pin_memory=on_gpu)
        with errors_of_workers():
            trainer.fit(task, read(train, shuffle_seed=seed, drop_single=True), read(validation))
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    task.cpu().load_state_dict(state)
    return history.rows


def _hush() -> None:
    """Lightning greets, advertises, and advises on workers; a stage's log says what the stage did."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
