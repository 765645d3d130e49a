"""Fit a network with Lightning: early stopping, the weights of the best epoch, and resuming after a kill."""

import logging
import os
import sys
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, channels_last, contiguous_format, nn, set_deterministic_debug_mode, tensor
from torch.utils.data import Dataset, Sampler

from counterweight.base.errors import InputError
from counterweight.networks.distributed import ProcessGroup, peer_errors
from counterweight.networks.loader import build_loader, worker_errors
from counterweight.runtime.heap import keep_freed_memory
from counterweight.runtime.progress import LogProgress
from counterweight.runtime.stand_ins import stand_ins
from counterweight.training.losses import Objective
from counterweight.training.optimizer import FitConfig
from counterweight.training.sampler import generators_of

with stand_ins():
    from lightning.pytorch import Callback, Trainer
    from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback

    from counterweight.training.callbacks import DirectCheckpointIO, History, ResumeCheckpoint
    from counterweight.training.module import LitClassifier

Examples = Dataset[tuple[Tensor, ...]]


def fit(
    network: nn.Module,
    objective: Objective,
    train: Examples,
    validation: Examples,
    *,
    sampler: Sampler[Any],
    config: FitConfig,
    group: ProcessGroup,
    checkpoint: Path | None = None,
) -> list[dict[str, float]]:
    """Train a network in place, and leave it with the weights of its best epoch.

    On a CPU the result is the same to the bit for the same seeds and number of threads, whatever the number of workers.
    With several processes it differs by rounding only, since the loss is always that of the whole batch. On a GPU,
    training runs in bfloat16 mixed precision, with deterministic algorithms wherever PyTorch has them.

    Parameters
    ----------
    network : Module
        Maps a batch of inputs to logits.
    objective : Objective
        The losses, and the metric that chooses the best epoch.
    train, validation : Dataset
        Pairs of input and targets.
    sampler : Sampler
        Order in which ``train`` is seen; see `counterweight.training.sampler`.
    config, group : FitConfig, ProcessGroup
        How to train, and the processes that do so.
    checkpoint : Path, optional
        File to write after each epoch. If it exists, training resumes from its epoch; it must have been written with
        the same arguments. It may be deleted once the result is safe.

    Returns
    -------
    list of dict
        One entry per epoch: ``epoch`` (from 1), ``train_loss``, ``validation_loss`` (unweighted), and for ``train`` and
        ``validation`` the values of `counterweight.training.epoch_metrics.epoch_metrics`.
    """
    _silence_lightning()
    device, on_gpu = group.device, group.device.type == "cuda"
    history = History(objective.monitor)
    # The history comes first: early stopping looks at its metrics.
    monitor, mode = f"validation_{objective.monitor}", "min" if objective.monitor == "loss" else "max"
    callbacks: list[Callback] = [history, EarlyStopping(monitor, patience=config.patience, mode=mode)]
    if not sys.stderr.isatty() and group.rank == 0:
        progress = LogProgress(config.optimizer.epochs, "epochs")
        callbacks.append(LambdaCallback(on_train_epoch_end=lambda *_: progress.update(1)))
    resume = None if checkpoint is None else ResumeCheckpoint(checkpoint, generators_of(sampler))
    known = None if resume is None else resume.load()
    epoch = -1 if known is None else int(known["epoch"])
    _check_same_epoch(group, epoch)
    stopped = known is not None and known["callbacks"][ResumeCheckpoint.__qualname__]["stopped"]
    trained = LitClassifier(network, objective, config.optimizer, group, config.batch_size)
    # Convolutions are faster if their weights lie in memory as images do.
    trained.to(memory_format=channels_last)
    trained.train()  # Lightning leaves it as it is; what has looked at images before has put it into evaluation mode.
    # As Lightning's deterministic="warn" does, which loads PyTorch's compiler for it.
    set_deterministic_debug_mode("warn")
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    trainer = Trainer(
        accelerator="gpu" if on_gpu else device.type,
        devices=[device.index or 0] if on_gpu and group.size == 1 else group.size // group.nodes,
        num_nodes=group.nodes,
        strategy="auto" if group.size == 1 else "ddp",
        sync_batchnorm=on_gpu and group.size > 1,  # On the CPU, torch has none.
        use_distributed_sampler=False,
        precision="bf16-mixed" if on_gpu else "32-true",
        # A training that had stopped early does not begin another epoch.
        max_epochs=epoch + 1 if stopped else config.optimizer.epochs,
        callbacks=callbacks if resume is None else [*callbacks, resume],
        plugins=[DirectCheckpointIO()],
        logger=False,
        enable_checkpointing=resume is not None,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        num_sanity_val_steps=0,
    )
    read = partial(build_loader, group=group, batch_size=config.batch_size, workers=config.workers, pin_memory=on_gpu)
    # DDP needs PyTorch's compiler, and what a GPU's libraries ask of it is not known.
    plain = stand_ins() if group.size == 1 and device.type == "cpu" else nullcontext()
    with worker_errors(), peer_errors(), keep_freed_memory(), plain:
        trainer.fit(
            trained, read(train, sampler=sampler, drop_single=True), read(validation),
            ckpt_path=None if known is None else checkpoint, weights_only=True,
        )  # fmt: skip
    trained.cpu().to(memory_format=contiguous_format)  # As a model that is loaded from a file.
    trained.load_state_dict(history.weights)
    return history.rows


def _check_same_epoch(group: ProcessGroup, epoch: int) -> None:
    """Raise unless all processes go on from the same epoch."""
    epochs = group.all_gather(tensor([epoch], device=group.device), group.size).tolist()
    if len(set(epochs)) > 1:
        raise InputError(
            f"the processes would go on from different epochs ({', '.join(map(str, epochs))}): the cache is not one "
            "folder for all. Put the project, or COUNTERWEIGHT_CACHE, on a file system that all hosts share."
        )


def _silence_lightning() -> None:
    """Lightning greets, advertises, and advises on workers; a stage's log says what the stage did."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
