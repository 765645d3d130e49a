"""Fit a linear head to the features of a frozen body until it converges, with a penalty chosen on validation."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from counterweight.base.errors import InputError
from counterweight.metrics.training_history import best_epoch
from counterweight.runtime.stand_ins import stand_ins
from counterweight.training.epoch_metrics import epoch_metrics
from counterweight.training.losses import Objective

# Strengths of the L2 penalty, from strong to weak, each half a power of ten apart.
PENALTIES = tuple(round(10 ** (-half / 2), 6) for half in range(9))
_MAX_ITERATIONS = 500
# Largest gradient at which a fit has converged; smaller values change no third digit of macro F1.
_TOLERANCE = 1e-5
# Least p (1 - p) of a label, so that the steps of one that hardly any image has stay bounded.
_MIN_VARIANCE = 1e-3


def fit_linear_head(
    head: nn.Module, objective: Objective, train: Sequence[Tensor], validation: Sequence[Tensor]
) -> list[dict[str, float]]:
    """Fit a head in place by L-BFGS, for each of `PENALTIES` in turn, and leave it with the best of them.

    It minimizes the loss, summed over labels, plus penalty / 2 times the squared norm of the coefficients of the
    standardized features, whose principal axes it fits along (see `_minimize`). On a CPU, the result is the same to the
    bit for the same number of threads.

    Parameters
    ----------
    head : Module
        A linear layer, perhaps after a batch norm without scale and shift. Where it starts from does not matter.
    objective : Objective
        The losses, and the metric that chooses the penalty.
    train, validation : (Tensor, Tensor)
        Features, float32 of shape (n_images, n_features), and targets, float32 of shape (n_images, n_labels).

    Returns
    -------
    list of dict
        One entry per penalty, in the form of `counterweight.training.trainer.fit`, and with its ``penalty``.

    Raises
    ------
    InputError
        If the head is not linear.
    """
    layers = [layer for layer in head.modules() if not isinstance(layer, nn.Sequential)]
    linear, norms = layers[-1], layers[:-1]
    if not isinstance(linear, nn.Linear) or not all(isinstance(norm, nn.BatchNorm1d) for norm in norms):
        raise InputError(
            "params.yaml: train.optimizer: lbfgs needs a linear head, which this model does not have. Set it to adam."
        )
    features, targets = (part.double() for part in train)
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0)
    scale = torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation))
    scaled = (features - mean) * scale
    powers, axes = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
    del scaled
    axes = scale[:, None] * axes
    unseen_targets = validation[1].double()
    # The last column is 1, for the biases, which no penalty holds.
    rotated, unseen = (pad((rows.double() - mean) @ axes, (0, 1), value=1.0) for rows in (features, validation[0]))
    del features
    loss, validation_loss = (deepcopy(each).double() for each in (objective.loss, objective.validation_loss))

    terms = targets.shape[1] if objective.scores == "sigmoid" else 1  # These losses are means over labels.
    frequencies = (targets == 1).double().mean(dim=0)
    variances = (frequencies * (1 - frequencies)).clamp(min=_MIN_VARIANCE)[:, None]
    curvatures = variances * torch.cat([powers.clamp(min=0), torch.ones(1, dtype=torch.float64)])
    coefficients = torch.zeros_like(curvatures)
    history: list[dict[str, float]] = []
    best = coefficients
    for number, penalty in enumerate(PENALTIES, 1):
        coefficients = _minimize(
            lambda coefficients: terms * loss(rotated @ coefficients.T, targets), coefficients, penalty, curvatures
        )
        with torch.no_grad():
            logits, unseen_logits = (rows @ coefficients.T for rows in (rotated, unseen))
            losses = {
                "train_loss": float(loss(logits, targets)),
                "validation_loss": float(validation_loss(unseen_logits, unseen_targets)),
            }
        metrics = {
            f"{part}_{name}": value
            for part, seen in (("train", (logits, targets)), ("validation", (unseen_logits, unseen_targets)))
            for name, value in epoch_metrics([seen], objective.scores, ranked=part == "validation").items()
        }
        history.append({"epoch": number, "penalty": penalty, **losses, **metrics})
        if best_epoch(history, objective.monitor) is history[-1]:
            best = coefficients

    with torch.no_grad():
        weight, shift = best[:, :-1] @ axes.T, best[:, -1]
        for norm in norms:  # It standardizes, so the coefficients are those of standardized features again.
            assert isinstance(norm, nn.BatchNorm1d)
            assert isinstance(norm.running_mean, Tensor)
            assert isinstance(norm.running_var, Tensor)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(deviation.square())
            weight, mean = weight * (norm.running_var.double() + norm.eps).sqrt(), torch.zeros_like(mean)
        shift = shift - weight @ mean
        linear.weight.copy_(weight)
        linear.bias.copy_(shift)
    return history


def _minimize(loss: Callable[[Tensor], Tensor], start: Tensor, penalty: float, curvatures: Tensor) -> Tensor:
    """Return the coefficients, shape (n_labels, n_features + 1), with the least penalized loss.

    Each is scaled by 1 / sqrt(its curvature), which takes far fewer steps (J. Nocedal and S. J. Wright, "Numerical
    Optimization", 2nd ed., 2006, section 7.2).
    """
    penalties = torch.full_like(curvatures[:1], penalty)
    penalties[:, -1] = 0
    scales = (curvatures + penalties).rsqrt()
    scaled = (start / scales).requires_grad_()
    with stand_ins():
        optimizer = torch.optim.LBFGS(
            [scaled], max_iter=_MAX_ITERATIONS, tolerance_grad=_TOLERANCE, tolerance_change=1e-9, history_size=10,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

    def closure() -> Tensor:
        scaled.grad = None
        coefficients = scaled * scales
        value = loss(coefficients) + (penalties * coefficients.square()).sum() / 2
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (scaled * scales).detach()
