"""The LightningModule that trains a classifier."""

from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from counterweight.networks.classifier import pretrained_parameters
from counterweight.networks.distributed import ProcessGroup
from counterweight.training.optimizer import OptimizerConfig


@dataclass(frozen=True)
class Objective:
    """The losses of a training and the metric that chooses its best epoch.

    Attributes
    ----------
    loss : Module
        Maps logits and targets (1, 0, or -1 if missing) to a scalar; for training only.
    validation_loss : Module
        The loss without weights, so that runs with different losses and train rows can be compared.
    scores : str
        ``sigmoid`` or ``softmax``.
    monitor : str
        Validation metric that chooses the best epoch: ``loss``, ``f1``, ``auc`` or ``average_precision``.
    """

    loss: nn.Module
    validation_loss: nn.Module
    scores: str
    monitor: str


class LitClassifier(LightningModule):
    """A network with its training step, validation step and optimizer.

    In a process group each process sees its shard of every batch, and the loss is that of the whole batch.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer_config: OptimizerConfig,
        group: ProcessGroup,
        batch_size: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = objective.loss
        self.validation_loss = objective.validation_loss
        self.scores = objective.scores
        self.optimizer_config = optimizer_config
        self.group = group
        self.batch_size = batch_size
        self.seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Compute the loss of a batch, and collect its logits and targets for the history."""
        logits, targets = self._gather(batch, index, self.trainer.train_dataloader)
        loss: Tensor = self.loss(logits, targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        self.seen.append((logits.detach().float().cpu(), targets.cpu()))
        # Each process has the loss of the whole batch, but gradients of its own shard only, and DDP averages gradients.
        return loss * self.group.size

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> dict[str, Tensor]:
        """Return logits and targets of a batch, and log its loss."""
        logits, targets = self._gather(batch, index, self.trainer.val_dataloaders)
        loss = self.validation_loss(logits, targets)
        self.log("validation_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return {"logits": logits.float().cpu(), "targets": targets.cpu()}

    def configure_optimizers(self) -> Any:
        """Build optimizer and schedule."""
        return self.optimizer_config.build(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            backbone=pretrained_parameters(self.network),
            steps=int(self.trainer.estimated_stepping_batches),
        )

    def _gather(self, batch: tuple[Tensor, Tensor], index: int, loader: Any) -> tuple[Tensor, Tensor]:
        """Gather logits and targets of a batch from the shards of all processes."""
        inputs, targets = batch
        count = min(self.batch_size, len(loader.dataset) - index * self.batch_size)
        return self.group.all_gather(self.network(inputs), count), self.group.all_gather(targets, count)
