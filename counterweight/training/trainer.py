"""Training, by Lightning: early stopping, the weights of the best epoch, and going on after a kill."""

import logging
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn, tensor
from torch.utils.data import Dataset, Sampler

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.networks.distributed import Group, errors_of_others
from counterweight.networks.loader import batches, errors_of_workers
from counterweight.runtime.cache import key_of
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.progress import Lines
from counterweight.training.callbacks import Best, GoingOn, History, Said, state_of
from counterweight.training.module import Objective, Task
from counterweight.training.optimizer import Optimisation
from counterweight.training.sampler import generators_of

# What the course of a training depends on, beside the packages of `codec` and the code of this package.
PACKAGES = ("lightning", "torch", "torchvision")

Rows = Dataset[tuple[Tensor, ...]]


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
    group: Group,
    workers: int,
    going_on: Path | None = None,
) -> list[dict[str, float]]:
    """Train a network in place, and leave it with the weights of its best epoch.

    On the CPU the outcome is the same to the bit for the same seeds and number of threads, whatever the number of
    workers; with several processes it is the same but for rounding, since the loss is always of the whole batch. On a
    GPU, training runs in bfloat16 mixed precision and with deterministic algorithms where there are.

    Parameters
    ----------
    network : Module
        From a batch of inputs to logits.
    objective : Objective
        Loss, criterion and what chooses the best epoch.
    train, validation : Dataset
        Pairs of input and targets.
    order : Sampler
        In which ``train`` is seen; see `counterweight.training.sampler`.
    optimisation : Optimisation
        Optimizer and schedule.
    epochs, patience : int
        Most passes over ``train``, and how many may follow the best one.
    batch_size : int
        Items a step; a last batch of one item is left out, for batch norm cannot use it.
    group : Group
        The processes that train, and where each computes.
    workers : int
        Processes of each that read images; 0 reads in this one.
    going_on : Path, optional
        A file to write after each epoch; where it is there already, training goes on from its epoch. It must have been
        written with the same arguments, and may be deleted when what came of the training is safe.

    Returns
    -------
    list of dict
        For each epoch run: ``epoch`` (from 1), ``train_loss``, ``validation_loss`` (of the criterion), and for both
        ``train`` and ``validation`` the measures of `counterweight.training.epoch_metrics.epoch_measures`.
    """
    _hush()
    device, on_gpu = group.device, group.device.type == "cuda"
    history = History()
    best = Best(history, objective.monitor)
    # The history comes first: the others look at its measures.
    monitor, mode = f"validation_{objective.monitor}", "min" if objective.monitor == "loss" else "max"
    watchers: list[Callback] = [history, EarlyStopping(monitor, patience=patience, mode=mode), best]
    if not sys.stderr.isatty() and group.rank == 0:
        watchers.append(Said(Lines(epochs, "epochs")))
    written = None if going_on is None else GoingOn(going_on, generators_of(order))
    known = None if written is None else written.known()
    _same_everywhere(group, -1 if known is None else int(known["epoch"]))
    trained = Task(network, objective, optimisation, group, batch_size)
    trained.train()  # Lightning leaves it as it is; what has looked at images before has put it into evaluation mode.
    trainer = Trainer(
        accelerator="gpu" if on_gpu else device.type,
        devices=[device.index or 0] if on_gpu and group.size == 1 else group.size // group.nodes,
        num_nodes=group.nodes,
        strategy="auto" if group.size == 1 else "ddp",
        sync_batchnorm=on_gpu and group.size > 1,  # On the CPU, torch has none.
        use_distributed_sampler=False,
        precision="bf16-mixed" if on_gpu else "32-true",
        deterministic="warn",
        # One that had stopped early is not to begin another epoch.
        max_epochs=epochs
        if known is None or not state_of(known, GoingOn)["stopped"]
        else len(state_of(known, History)["rows"]),
        callbacks=watchers if written is None else [*watchers, written],
        logger=False,
        enable_checkpointing=written is not None,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        num_sanity_val_steps=0,
    )
    read = partial(batches, group=group, batch_size=batch_size, workers=workers, pin_memory=on_gpu)
    with errors_of_workers(), errors_of_others():
        trainer.fit(
            trained, read(train, order=order, drop_single=True), read(validation),
            ckpt_path=None if known is None else going_on, weights_only=True,
        )  # fmt: skip
    trained.cpu().load_state_dict(best.weights)
    return history.rows


def _same_everywhere(group: Group, epoch: int) -> None:
    """Raise unless all processes go on from the same epoch."""
    epochs = group.whole(tensor([epoch], device=group.device), group.size).tolist()
    if len(set(epochs)) > 1:
        raise InputError(
            f"the processes would go on from different epochs ({', '.join(map(str, epochs))}): the cache is not one "
            "folder for all. Put the project, or COUNTERWEIGHT_CACHE, on a file system that all hosts share."
        )


def training_key(table: bytes, depends: Mapping[str, Any]) -> str:
    """By what a training is known again.

    Parameters
    ----------
    table : bytes
        Of the manifest, which has the checksums of all images.
    depends : mapping of str to value
        Every param and choice that the weights depend on.
    """
    code = fingerprint([__name__], (*codec.PACKAGES, *PACKAGES))
    return key_of(code, codec.checksum(table), depends)


def _hush() -> None:
    """Lightning greets, advertises, and advises on workers; a stage's log says what the stage did."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
