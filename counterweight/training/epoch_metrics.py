"""Metrics of one epoch, for training curves."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from counterweight.metrics.per_label import aucs, average_precisions, defined_mean, label_rates
from counterweight.metrics.thresholds import argmax_mask


def epoch_metrics(seen: Sequence[tuple[Tensor, Tensor]], scores: str, *, ranked: bool = False) -> dict[str, float]:
    """Compute metrics over the batches of an epoch, as means over labels.

    Parameters
    ----------
    seen : sequence of (Tensor, Tensor)
        Logits and targets (1, 0, or -1 if missing) of each batch, both of shape (n, n_labels).
    scores : str
        ``sigmoid`` predicts labels with a score of at least 0.5, ``softmax`` the class with the highest score.
    ranked : bool
        Whether to add metrics that need no threshold.

    Returns
    -------
    dict of str to float
        ``accuracy``, ``precision``, ``recall`` and ``f1``; ranked also ``auc`` and ``average_precision``, 0 where no
        label has both values.
    """
    logits = torch.cat([batch[0] for batch in seen])
    targets = torch.cat([batch[1] for batch in seen]).numpy().astype(np.int8)
    if scores == "softmax":
        values = logits.softmax(dim=1).numpy().astype(np.float64)
        y_pred = argmax_mask(values)
        known = (targets >= 0).all(axis=1)
        right = (targets[known] == y_pred[known]).all(axis=1)
    else:
        values = logits.sigmoid().numpy().astype(np.float64)
        y_pred = values >= 0.5
        known = targets >= 0
        right = targets[known] == y_pred[known]
    rates = label_rates(targets, y_pred)
    metrics = {"accuracy": float(right.mean()) if right.size else 0.0}
    metrics |= {name: float(getattr(rates, name).mean()) for name in ("precision", "recall", "f1")}
    if ranked:
        metrics["auc"] = defined_mean(aucs(targets, values)) or 0.0
        metrics["average_precision"] = defined_mean(average_precisions(targets, values)) or 0.0
    return metrics
