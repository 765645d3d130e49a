"""Fit a linear head to the features of a frozen body until it converges, with a penalty chosen on validation."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from counterweight.base.errors import InputError
from counterweight.metrics.training_history import best_epoch
from counterweight.training.epoch_metrics import epoch_metrics
from counterweight.training.module import Objective

# Strengths of the L2 penalty, from strong to weak, each half a power of ten apart.
PENALTIES = tuple(round(10 ** (-half / 2), 6) for half in range(9))
_MAX_ITERATIONS = 500
# Largest gradient at which a fit has converged; smaller values change no third digit of macro F1.
_TOLERANCE = 1e-5


def fit_linear_head(
    head: nn.Module, objective: Objective, train: Sequence[Tensor], validation: Sequence[Tensor]
) -> list[dict[str, float]]:
    """Fit a head in place by L-BFGS, for each of `PENALTIES` in turn, and leave it with the best of them.

    It minimizes the loss, summed over labels, plus penalty / 2 times the squared norm of the coefficients of the
    standardized features. On a CPU, the result is the same to the bit for the same number of threads.

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
    unseen, unseen_targets = (validation[0].double() - mean) * scale, validation[1].double()
    loss, validation_loss = (deepcopy(each).double() for each in (objective.loss, objective.validation_loss))

    terms = targets.shape[1] if objective.scores == "sigmoid" else 1  # These losses are means over labels.
    coefficients = torch.zeros(targets.shape[1], features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(targets.shape[1], dtype=torch.float64, requires_grad=True)
    history: list[dict[str, float]] = []
    best = (coefficients.detach().clone(), bias.detach().clone())
    for number, penalty in enumerate(PENALTIES, 1):
        _minimize(coefficients, bias, lambda: terms * loss(scaled @ coefficients.T + bias, targets), penalty)
        with torch.no_grad():
            logits, unseen_logits = (rows @ coefficients.T + bias for rows in (scaled, unseen))
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
            best = (coefficients.detach().clone(), bias.detach().clone())

    with torch.no_grad():
        weight, shift = best
        weight = weight * scale
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


def _minimize(coefficients: Tensor, bias: Tensor, loss: Callable[[], Tensor], penalty: float) -> None:
    """Minimize a penalized loss, starting from the values that are there."""
    optimizer = torch.optim.LBFGS(
        [coefficients, bias], max_iter=_MAX_ITERATIONS, tolerance_grad=_TOLERANCE, tolerance_change=1e-9,
        history_size=10, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss() + penalty / 2 * coefficients.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
