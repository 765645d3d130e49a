"""Choose the few test images whose labels are explained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Predictions = NDArray[np.bool_]


@dataclass(frozen=True)
class ChosenImage:
    """An image, one of its labels, and why it was chosen.

    Attributes
    ----------
    position : int
        Row of the image.
    column : int
        Column of the label.
    reason : str
        ``surest errors``, ``only right by`` and an arm, ``rarest labels``, or ``at random``.
    """

    position: int
    column: int
    reason: str


def choose_images(
    targets: NDArray[np.integer],
    probabilities: Mapping[str, NDArray[np.floating]],
    predictions: Mapping[str, Predictions],
    train_counts: Sequence[int],
    *,
    per_reason: int,
    seed: int,
) -> list[ChosenImage]:
    """Choose images whose predictions are worth a look, each once.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1, 0, or -1 where missing.
    probabilities, predictions : mapping of str to array, shape (n_images, n_labels)
        What each arm predicts: calibrated scores, and whether the image gets the label.
    train_counts : sequence of int
        Train images with each label.
    per_reason : int
        Images per reason, at most.
    seed : int
        Seed of those at random.
    """
    chosen: dict[int, ChosenImage] = {}
    for reason, candidates in _candidates(targets, probabilities, predictions, np.asarray(train_counts), seed):
        new = [(position, column) for position, column in candidates if position not in chosen][:per_reason]
        chosen |= {position: ChosenImage(position, column, reason) for position, column in new}
    return list(chosen.values())


def explanations_table(
    chosen: Sequence[ChosenImage],
    image_ids: Sequence[str],
    labels: Sequence[str],
    targets: NDArray[np.integer],
    probabilities: Mapping[str, NDArray[np.floating]],
    predictions: Mapping[str, Predictions],
) -> pd.DataFrame:
    """Tabulate the chosen images with what each arm predicts.

    Parameters
    ----------
    chosen : sequence of ChosenImage
        The result of `choose_images`, whose other arguments the last three are.
    image_ids, labels : sequence of str
        Names of the rows and columns of ``targets``.

    Returns
    -------
    pandas.DataFrame
        ``picture``, the number of the image; ``image_id``, ``reason``, ``label``; ``labeled``, 1, 0 or -1 where
        missing; and for each arm ``probability_ARM``, to four digits, and ``predicted_ARM``, 1 or 0.
    """
    rows = []
    for number, each in enumerate(chosen):
        cell = (each.position, each.column)
        of_arms = [
            value for arm in predictions for value in (probabilities[arm][cell].round(4), int(predictions[arm][cell]))
        ]
        known = int(targets[cell])
        rows.append([number, image_ids[each.position], each.reason, labels[each.column], known, *of_arms])
    columns = [f"{name}_{arm}" for arm in predictions for name in ("probability", "predicted")]
    return pd.DataFrame(rows, columns=["picture", "image_id", "reason", "label", "labeled", *columns])


def wrong_cells(targets: NDArray[np.integer], predictions: Predictions) -> Predictions:
    """Return which known labels an arm gets wrong, shape (n_images, n_labels)."""
    return np.asarray((targets >= 0) & (predictions != (targets == 1)))


def rarest_column(cells: Predictions, train_counts: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return for each row, shape (n_images,), the rarest label among those that are marked, or of all without any."""
    rank = np.where(cells, train_counts, train_counts.max() + 1 + train_counts)
    return np.asarray(rank.argmin(axis=1))


def only_right_by(targets: NDArray[np.integer], predictions: Mapping[str, Predictions], arm: str) -> NDArray[np.bool_]:
    """Return the images to which one arm gives exactly their known labels, and no other does, shape (n_images,)."""
    right = {name: ~wrong_cells(targets, of_arm).any(axis=1) for name, of_arm in predictions.items()}
    others = [each for name, each in right.items() if name != arm]
    return np.asarray(right[arm] & ~np.any(others, axis=0))


def _candidates(
    targets: NDArray[np.integer],
    probabilities: Mapping[str, NDArray[np.floating]],
    predictions: Mapping[str, Predictions],
    train_counts: NDArray[np.integer],
    seed: int,
) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yield each reason with images and labels, the best ones first."""
    wrong = {arm: wrong_cells(targets, of_arm) for arm, of_arm in predictions.items()}
    error = np.max(
        [np.where(wrong[arm], np.abs(probabilities[arm] - (targets == 1)), -1) for arm in predictions], axis=0
    )
    surest = np.argsort(-error.max(axis=1), kind="stable")
    yield "surest errors", [(int(i), int(error[i].argmax())) for i in surest if error[i].max() >= 0]
    for arm in predictions:
        images = np.flatnonzero(only_right_by(targets, predictions, arm))
        missed = np.any([wrong[other][images] for other in predictions if other != arm], axis=0)
        columns = rarest_column(missed, train_counts)
        order = np.argsort(train_counts[columns], kind="stable")
        yield f"only right by {arm}", [(int(images[i]), int(columns[i])) for i in order]
    columns = rarest_column(targets == 1, train_counts)
    order = np.argsort(train_counts[columns], kind="stable")
    yield "rarest labels", [(int(i), int(columns[i])) for i in order if targets[i, columns[i]] == 1]
    likeliest = np.mean(list(probabilities.values()), axis=0).argmax(axis=1)
    known = [int(columns[i]) if targets[i, columns[i]] == 1 else int(likeliest[i]) for i in range(len(targets))]
    yield "at random", [(int(i), known[i]) for i in np.random.default_rng(seed).permutation(len(targets))]
