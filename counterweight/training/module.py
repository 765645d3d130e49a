"""What is trained, in Lightning's form: a network, what it is trained for, and one step of it."""

from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from counterweight.networks.classifier import pretrained_parameters
from counterweight.networks.distributed import Group
from counterweight.training.optimizer import Optimisation


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


class Task(LightningModule):
    """One training step, one validation step and the optimizer, in Lightning's form."""

    def __init__(
        self, network: nn.Module, objective: Objective, optimisation: Optimisation, group: Group, batch_size: int
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = objective.loss
        self.criterion = objective.criterion
        self.scores = objective.scores
        self.optimisation = optimisation
        self.group = group
        self.batch_size = batch_size
        self.seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch; logits and targets are put by for the history."""
        logits, targets = self._whole(batch, index, self.trainer.train_dataloader)
        loss: Tensor = self.loss(logits, targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        self.seen.append((logits.detach().float().cpu(), targets.cpu()))
        # Of the whole batch in each process, but followed back to its own share; of their gradients comes the mean.
        return loss * self.group.size

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> dict[str, Tensor]:
        """Logits and targets of one batch."""
        logits, targets = self._whole(batch, index, self.trainer.val_dataloaders)
        self.log(
            "validation_loss", self.criterion(logits, targets), on_step=False, on_epoch=True, batch_size=len(targets)
        )
        return {"logits": logits.float().cpu(), "targets": targets.cpu()}

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule."""
        return self.optimisation.build(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            body=pretrained_parameters(self.network),
            steps=int(self.trainer.estimated_stepping_batches),
        )

    def _whole(self, batch: tuple[Tensor, Tensor], index: int, loader: Any) -> tuple[Tensor, Tensor]:
        """Logits and targets of a batch, of which this process sees its share."""
        inputs, targets = batch
        count = min(self.batch_size, len(loader.dataset) - index * self.batch_size)
        return self.group.whole(self.network(inputs), count), self.group.whole(targets, count)
