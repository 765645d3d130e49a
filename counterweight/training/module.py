"""The LightningModule that trains a classifier."""

from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from counterweight.networks.classifier import pretrained_parameters
from counterweight.networks.distributed import ProcessGroup
from counterweight.training.losses import Objective
from counterweight.training.optimizer import OptimizerConfig


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
        self.seen: dict[str, list[tuple[Tensor, Tensor]]] = {"train": [], "validation": []}

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        # Each process has the loss of the whole batch, but gradients of its own shard only, and DDP averages gradients.
        return self._run("train", batch, index, self.trainer.train_dataloader) * self.group.size

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Log the loss of a batch."""
        self._run("validation", batch, index, self.trainer.val_dataloaders)

    def configure_optimizers(self) -> Any:
        """Build optimizer and schedule."""
        return self.optimizer_config.build(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            backbone=pretrained_parameters(self.network),
            steps=int(self.trainer.estimated_stepping_batches),
        )

    def _run(self, part: str, batch: tuple[Tensor, Tensor], index: int, loader: Any) -> Tensor:
        """Log and return the loss of a batch of all processes, and collect its logits and targets for the history."""
        count = min(self.batch_size, len(loader.dataset) - index * self.batch_size)
        logits, targets = (self.group.all_gather(rows, count) for rows in (self.network(batch[0]), batch[1]))
        loss: Tensor = (self.loss if part == "train" else self.validation_loss)(logits, targets)
        self.log(f"{part}_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        self.seen[part].append((logits.detach().float().cpu(), targets.cpu()))
        return loss
