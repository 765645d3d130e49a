"""What the history of a training says: its best epoch, and whether it had converged."""

import math
from collections.abc import Mapping, Sequence

Row = Mapping[str, float]


def best_epoch(history: Sequence[Row], monitor: str) -> Row:
    """Return the row of the epoch whose weights a training keeps; the first among equals.

    Parameters
    ----------
    history : sequence of mapping
        One row per epoch, with ``epoch`` and the validation metrics as ``validation_NAME``.
    monitor : str
        The metric that chooses, such as ``loss`` or ``f1``.
    """
    sign = -1 if monitor == "loss" else 1

    def gain(row: Row) -> float:
        value = sign * row[f"validation_{monitor}"]
        return -math.inf if math.isnan(value) else value

    return max(history, key=gain)


def unfinished(history: Sequence[Row], monitor: str, max_epochs: int) -> str | None:
    """Say, as the rest of a sentence, that a training was still getting better when it ended; None if it was not.

    Parameters
    ----------
    history, monitor
        As in `best_epoch`. Rows with a ``penalty`` are fits with ever weaker penalties instead of epochs.
    max_epochs : int
        ``train.epochs``.

    Examples
    --------
    >>> rows = [{"epoch": 1, "validation_loss": 0.5}, {"epoch": 2, "validation_loss": 0.4}]
    >>> unfinished(rows, "loss", 2)
    'had not converged: its best epoch is its last, 2 of 2. Raise train.epochs'
    >>> unfinished(rows, "loss", 8) is None  # It was stopped early.
    True
    """
    best = best_epoch(history, monitor)
    if best is not history[-1]:
        return None
    if "penalty" in best:
        return f"is best with the weakest penalty tried, {best['penalty']:g}: more train images would help"
    if len(history) < max_epochs:
        return None
    return f"had not converged: its best epoch is its last, {best['epoch']:.0f} of {max_epochs}. Raise train.epochs"
