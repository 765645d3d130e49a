"""What is trained, in Lightning's form: a network, what it is trained for, and one step of it."""

from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from stages.core.optimisation import Optimisation


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

    def __init__(self, network: nn.Module, objective: Objective, optimisation: Optimisation) -> None:
        super().__init__()
        self.network = network
        self.loss = objective.loss
        self.criterion = objective.criterion
        self.scores = objective.scores
        self.optimisation = optimisation
        self.seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Loss of one batch; logits and targets are put by for the history."""
        inputs, targets = batch
        logits = self.network(inputs)
        loss: Tensor = self.loss(logits, targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        self.seen.append((logits.detach().float().cpu(), targets.cpu()))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> dict[str, Tensor]:
        """Logits and targets of one batch."""
        inputs, targets = batch
        logits = self.network(inputs)
        self.log(
            "validation_loss", self.criterion(logits, targets), on_step=False, on_epoch=True, batch_size=len(targets)
        )
        return {"logits": logits.float().cpu(), "targets": targets.cpu()}

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule."""
        return self.optimisation.build(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            body=[parameter for name, parameter in self.network.named_parameters() if name.startswith("body.")],
            steps=int(self.trainer.estimated_stepping_batches),
        )
