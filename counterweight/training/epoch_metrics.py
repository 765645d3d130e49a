"""How well a network does in one epoch, in the few numbers that a training curve shows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from counterweight.metrics.per_label import aucs, average_precisions, rates


def epoch_measures(seen: Sequence[tuple[Tensor, Tensor]], scores: str, *, ranked: bool = False) -> dict[str, float]:
    """Measures of the batches of an epoch, means over the labels.

    Parameters
    ----------
    seen : sequence of (Tensor, Tensor)
        Logits and targets (1, 0, or -1 where missing) of each batch, both of shape (n, n_labels).
    scores : str
        ``sigmoid``: a label is given from the score 0.5 on. ``softmax``: the class with the highest score.
    ranked : bool
        Whether to add what needs no threshold.

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
        given = np.eye(values.shape[1], dtype=bool)[values.argmax(axis=1)]
        known = (targets >= 0).all(axis=1)
        right = (targets[known] == given[known]).all(axis=1)
    else:
        values = logits.sigmoid().numpy().astype(np.float64)
        given = values >= 0.5
        known = targets >= 0
        right = targets[known] == given[known]
    of = rates(targets, given)
    measures = {
        "accuracy": float(right.mean()) if right.size else 0.0,
        "precision": float(of.precision.mean()),
        "recall": float(of.recall.mean()),
        "f1": float(of.f1.mean()),
    }
    if ranked:
        measures["auc"] = _mean(aucs(targets, values))
        measures["average_precision"] = _mean(average_precisions(targets, values))
    return measures


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else 0.0
