"""Loss functions for rare labels. All ignore missing cells, whose target is -1."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid, softplus

from counterweight.runtime.stand_ins import stand_ins

with stand_ins():
    from torchvision.ops import sigmoid_focal_loss


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


def label_weights(targets: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights that balance the two values of each label: N / (2 x count), as scikit-learn's "balanced".

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 for an image with the label, 0 without, -1 unknown.

    Returns
    -------
    positive, negative : arrays of float, shape (n_labels,)
        Weight of a 1 and of a 0. A value that does not occur has weight 0.

    Examples
    --------
    >>> label_weights(np.array([[1], [0], [0], [0]]))
    (array([2.]), array([0.66666667]))
    """
    counts = np.stack([(targets == 1).sum(axis=0), (targets == 0).sum(axis=0)])
    positive, negative = np.where(counts > 0, counts.sum(axis=0) / (2 * np.maximum(counts, 1)), 0.0)
    return positive, negative


def class_weights(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Weights that balance classes: N / (classes x count); 0 for a class that does not occur.

    Examples
    --------
    >>> class_weights(np.array([[1, 0], [1, 0], [1, 0], [0, 1]]))
    array([0.66666667, 2.        ])
    """
    counts = (targets == 1).sum(axis=0)
    return np.where(counts > 0, counts.sum() / (len(counts) * np.maximum(counts, 1)), 0.0)


class CellLoss(nn.Module):
    """Mean over known cells of a loss that is defined per cell, an image and a label.

    Parameters
    ----------
    positive, negative : arrays of float, shape (n_labels,)
        Weight of a 1 and of a 0 of each label.
    """

    def __init__(self, positive: NDArray[np.floating], negative: NDArray[np.floating]) -> None:
        super().__init__()
        self.positive, self.negative = _buffer(positive), _buffer(negative)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits against targets of 1, 0 and -1 (missing), both of shape (n, n_labels)."""
        known = targets >= 0
        weights = torch.where(targets > 0, self.positive, self.negative)
        cells = weights * self.cells(logits.to(targets.dtype), targets.clamp(min=0))
        return torch.where(known, cells, torch.zeros_like(cells)).sum() / known.sum().clamp(min=1)

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each cell, shape (n, n_labels); targets are 1 and 0."""
        raise NotImplementedError


class BinaryCrossEntropy(CellLoss):
    """Binary cross-entropy."""

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, by PyTorch."""
        return binary_cross_entropy_with_logits(logits, targets, reduction="none")


class Focal(CellLoss):
    """Focal loss with gamma 2 and alpha 0.25: T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017."""

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Focal loss, by torchvision."""
        cells: Tensor = sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2.0, reduction="none")
        return cells


class Asymmetric(CellLoss):
    """Asymmetric loss: T. Ridnik et al., "Asymmetric loss for multi-label classification", ICCV 2021, equation 7.

    Its values are the paper's for MS-COCO: gamma+ 0, gamma- 4, margin 0.05.
    """

    GAMMA = 4
    MARGIN = 0.05

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of a 1; for a 0, that of the score minus the margin, focused on high scores."""
        shifted = (torch.sigmoid(logits) - self.MARGIN).clamp(min=0)
        negative = -(shifted**self.GAMMA) * torch.log1p(-shifted)
        return torch.where(targets > 0, -logsigmoid(logits), negative)


class DistributionBalanced(CellLoss):
    """Distribution-balanced loss: T. Wu et al., "Distribution-balanced loss for multi-label classification", ECCV 2020.

    Rebalanced weights (equations 1 to 5) and negative-tolerant regularization (equations 6 to 8), with the values for
    COCO-MLT: alpha 0.1, beta 10, mu 0.2, lambda 2, kappa 0.05.

    Parameters
    ----------
    positive, negative : arrays of float, shape (n_labels,)
        As in `CellLoss`.
    targets : array of int, shape (n_images, n_labels)
        Targets of the train rows.
    """

    ALPHA, BETA, MU, LAMBDA, KAPPA = 0.1, 10.0, 0.2, 2.0, 0.05

    def __init__(
        self, positive: NDArray[np.floating], negative: NDArray[np.floating], targets: NDArray[np.integer]
    ) -> None:
        super().__init__(positive, negative)
        counts = (targets == 1).sum(axis=0).clip(1)
        known = (targets >= 0).sum(axis=0).clip(2)
        share = np.minimum(counts / known, 1 - 1 / known)
        self.rarity, self.bias = _buffer(1 / counts), _buffer(self.KAPPA * np.log(1 / share - 1))

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Negative-tolerant cross-entropy, weighted by how often label-wise sampling repeats the image."""
        repeats = (targets * self.rarity).sum(dim=1, keepdim=True)
        # Label-wise sampling never draws an image without labels: its ratio counts as large, its weight is the highest.
        ratio = torch.where(repeats > 0, self.rarity / repeats.clamp(min=1e-12), torch.full_like(repeats, 1e3))
        weights = self.ALPHA + torch.sigmoid(self.BETA * (ratio - self.MU))
        shifted = logits - self.bias
        positive, negative = softplus(-shifted), softplus(self.LAMBDA * shifted) / self.LAMBDA
        return weights * torch.where(targets > 0, positive, negative)


class CrossEntropy(nn.Module):
    """Cross-entropy for one class per image, weighted by class; the mean over known rows."""

    def __init__(self, weights: NDArray[np.floating]) -> None:
        super().__init__()
        self.weights = _buffer(weights)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits against one-hot rows, both of shape (n, n_classes); a row with -1 is missing."""
        known = (targets >= 0).all(dim=1)
        classes = targets.argmax(dim=1)
        rows = cross_entropy(logits.to(targets.dtype), classes, reduction="none") * self.weights[classes]
        return torch.where(known, rows, torch.zeros_like(rows)).sum() / known.sum().clamp(min=1)


def _buffer(values: NDArray[np.floating]) -> nn.Buffer:
    """Return constants of a loss, which move to another device with it."""
    return nn.Buffer(torch.tensor(values, dtype=torch.float32))


def build_loss(name: str, targets: NDArray[np.integer], *, weighted: bool) -> nn.Module:
    """Build a loss from its name and the train rows' targets.

    Parameters
    ----------
    name : str
        ``bce``, ``focal``, ``asymmetric``, ``distribution_balanced`` or ``cross_entropy``.
    targets : array of int, shape (n_images, n_labels)
        Targets of the arm's train rows, copies included.
    weighted : bool
        Whether the two values of each label count the same in sum (`label_weights`), or the classes
        (`class_weights`).
    """
    ones = np.ones(targets.shape[1])
    positive, negative = label_weights(targets) if weighted else (ones, ones)
    losses: dict[str, Callable[[], nn.Module]] = {
        "bce": lambda: BinaryCrossEntropy(positive, negative),
        "focal": lambda: Focal(positive, negative),
        "asymmetric": lambda: Asymmetric(positive, negative),
        "distribution_balanced": lambda: DistributionBalanced(positive, negative, targets),
        "cross_entropy": lambda: CrossEntropy(class_weights(targets) if weighted else ones),
    }
    return losses[name]()


def score_function(loss: str) -> str:
    """Return how logits become scores: ``softmax`` for cross-entropy, else ``sigmoid``."""
    return "softmax" if loss == "cross_entropy" else "sigmoid"
