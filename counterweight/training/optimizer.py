"""PyTorch's optimizers and learning-rate schedules by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn, optim
from torch.optim import lr_scheduler

# Fused ones update all weights in one pass over memory.
_OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "adam": partial(optim.Adam, fused=True),
    "adamw": partial(optim.AdamW, fused=True),
    "adadelta": optim.Adadelta,
    "sgd": partial(optim.SGD, momentum=0.9, nesterov=True, fused=True),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and learning-rate schedule.

    Attributes
    ----------
    optimizer : str
        ``adam``, ``adamw``, ``adadelta`` or ``sgd`` (Nesterov momentum 0.9).
    learning_rate : float
        Initial rate; for ``one_cycle``, the highest.
    weight_decay : float
        The optimizer's own. Biases and batch norm have none: they would drift toward 0, and with them how often a rare
        label is predicted (T. He et al., "Bag of tricks for image classification", CVPR 2019).
    schedule : str
        ``none``; ``step``, a tenth after each third of the epochs; ``cosine``, to 0; ``one_cycle``, up for 0.3 of the
        steps, then down to nearly 0; ``plateau``, half after 3 epochs without a better validation loss.
    epochs : int
        Maximum number of epochs.
    backbone_lr_scale : float
        Learning-rate multiplier for pretrained layers ("discriminative" rates: J. Howard and S. Ruder, "Universal
        language model fine-tuning for text classification", ACL 2018).
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    epochs: int
    backbone_lr_scale: float = 1.0

    def build(
        self, parameters: Sequence[nn.Parameter], *, backbone: Sequence[nn.Parameter] = (), steps: int
    ) -> dict[str, Any]:
        """Build optimizer and schedule as Lightning expects them.

        Parameters
        ----------
        parameters, backbone : sequence of Parameter
            All parameters to train, and those trained at `backbone_lr_scale` times the learning rate.
        steps : int
            Total steps over all epochs.
        """
        slow = {id(parameter) for parameter in backbone}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in parameters:
            rate = self.learning_rate * (self.backbone_lr_scale if id(parameter) in slow else 1)
            decay = self.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        optimizer = _OPTIMIZERS[self.optimizer](
            [{"params": chosen, "lr": rate, "weight_decay": decay} for (rate, decay), chosen in groups.items()]
        )
        match self.schedule:
            case "step":
                thirds = sorted({max(self.epochs // 3, 1), max(2 * self.epochs // 3, 1)})
                return {"optimizer": optimizer, "lr_scheduler": lr_scheduler.MultiStepLR(optimizer, thirds)}
            case "cosine":
                return {"optimizer": optimizer, "lr_scheduler": lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)}
            case "one_cycle":
                rates = [group["lr"] for group in optimizer.param_groups]
                has_momentum = self.optimizer != "adadelta"
                cycle = lr_scheduler.OneCycleLR(
                    optimizer, rates, total_steps=max(steps, 2), cycle_momentum=has_momentum
                )
                return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
            case "plateau":
                plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
                return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "validation_loss"}}
            case _:
                return {"optimizer": optimizer}


@dataclass(frozen=True)
class FitConfig:
    """How weights are fitted.

    Attributes
    ----------
    optimizer : OptimizerConfig
        Optimizer and schedule, with the most epochs.
    patience : int
        Epochs that may follow the best one.
    batch_size : int
        Examples per step. A last batch of one example is left out, since batch norm cannot use it.
    workers : int
        Processes that read images; 0 reads in this one. They change only the speed.
    """

    optimizer: OptimizerConfig
    patience: int
    batch_size: int
    workers: int = 0
