"""Loss functions for several labels an image."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


def label_weights(targets: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights that give the two values of a label the same total: N / (2 x count), as in scikit-learn's "balanced".

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.

    Returns
    -------
    positive, negative : arrays of float, shape (n_labels,)
        Weight of a 1 and of a 0. A value that does not occur has weight 0.

    Examples
    --------
    >>> label_weights(np.array([[1], [0], [0], [0]]))
    (array([2.]), array([0.66666667]))
    """
    positives = targets.sum(axis=0, dtype=np.int64)
    negatives = len(targets) - positives

    def weight(count: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(count > 0, len(targets) / (2 * np.maximum(count, 1)), 0.0)

    return weight(positives), weight(negatives)


class BinaryCrossEntropy(nn.Module):
    """Mean binary cross-entropy over images and labels, each cell weighted by its label and value.

    Parameters
    ----------
    positive, negative : Tensor of float, shape (n_labels,)
        Weight of a 1 and of a 0; ones give the plain loss.
    """

    positive: Tensor
    negative: Tensor

    def __init__(self, positive: Tensor, negative: Tensor) -> None:
        super().__init__()
        self.register_buffer("positive", positive)
        self.register_buffer("negative", negative)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits against 0/1 targets, both of shape (n, n_labels)."""
        weights = torch.where(targets > 0, self.positive, self.negative)
        return binary_cross_entropy_with_logits(logits, targets, weight=weights)


def build_loss(name: str, targets: NDArray[np.integer]) -> BinaryCrossEntropy:
    """Build a loss from its name and the train rows' targets.

    Parameters
    ----------
    name : str
        ``bce``, or ``weighted_bce``, whose weights are those of `label_weights`.
    targets : array of int, shape (n_images, n_labels)
        Of the arm's train rows, copies among them.
    """
    if name == "bce":
        ones = torch.ones(targets.shape[1])
        return BinaryCrossEntropy(ones, ones.clone())
    positive, negative = label_weights(targets)
    return BinaryCrossEntropy(torch.from_numpy(positive).float(), torch.from_numpy(negative).float())
