"""What the comparison of the arms comes to, in sentences, and the arm to deploy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base.errors import name_some
from counterweight.evidence.comparison import BASELINE, ArmDifference, arm_to_deploy
from counterweight.metrics.bootstrap import MIN_TEST_IMAGES, change, macro_f1_intervals, power_sentence, verdict
from counterweight.metrics.classification import constant_answers
from counterweight.metrics.per_label import label_rates

# Labels that a sentence names.
_MAX_NAMED_LABELS = 6


def sentences(
    table: pd.DataFrame,
    differences: Mapping[str, ArmDifference],
    y_true: NDArray[np.integer],
    labels: Sequence[str],
    rare: NDArray[np.intp],
    *,
    n_copies: int,
    n_left_out: int,
    seed_matters: bool,
) -> dict[str, Any]:
    """Say what the arms come to.

    Parameters
    ----------
    table, differences
        The results of `counterweight.evidence.comparison.arm_table` and `arm_differences`.
    y_true : array of int, shape (n_images, n_labels)
        1 if the test image has the label, 0 if not, -1 if unknown.
    labels : sequence of str
        Names of the labels.
    rare : array of int
        Columns of the rarest third of the labels.
    n_copies, n_left_out : int
        Copies in the arm ``copies``, and images that are not in it.
    seed_matters : bool
        Whether another training seed gives another network.

    Returns
    -------
    dict
        ``copies``, whether the copies helped; ``others``, the same for each other arm; ``rare``, by how much copies
        changed the rarest third of the labels; ``power``, how many images or seeds a small difference needs (empty
        if the arm ``copies`` has just the user's images); ``caveat``, what the intervals leave out; and ``deploy`` with
        ``deploy_sentence``, the arm to use.
    """
    images, seeds = len(y_true), int(table["seeds"].iloc[0])
    changes = ["the copies"] * (n_copies > 0 or not n_left_out) + ["the undersampling"] * (n_left_out > 0)
    by_arm = {
        arm: verdict(each.difference, images, seeds, arm, copies=" and ".join(changes))
        for arm, each in differences.items()
        if arm != BASELINE
    }
    if not n_copies and not n_left_out:
        by_arm["copies"] = "No copies were made, so this arm is the same as nothing."
    deploy = arm_to_deploy(table)
    named = name_some([labels[column] for column in rare], _MAX_NAMED_LABELS)
    return {
        "copies": by_arm["copies"],
        "others": [f"{arm}: {sentence}" for arm, sentence in by_arm.items() if arm != "copies"],
        "rare": f"The rarest third of the labels ({named}): {change(differences['copies'].rare_difference)}.",
        "power": power_sentence(differences["copies"].difference, images, seeds) if n_copies or n_left_out else "",
        "caveat": _caveat(y_true, seeds, seed_matters),
        "deploy": deploy,
        "deploy_sentence": _deploy_sentence(table, deploy),
    }


def no_better_than_chance(
    y_true: NDArray[np.integer],
    predictions: Mapping[str, NDArray[np.bool_]],
    train: NDArray[np.integer],
    task: str,
    *,
    n_samples: int,
    seed: int,
) -> str | None:
    """Say that no arm is clearly better than a constant answer on the test images; None if one is.

    Parameters
    ----------
    y_true, predictions, n_samples, seed
        As in `counterweight.evidence.comparison.arm_differences`.
    train : array of int, shape (n_train, n_labels)
        Targets of the train images, whose shares of each label the constant answers know.
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    """
    prevalence = (train == 1).sum(axis=0) / np.maximum((train >= 0).sum(axis=0), 1)
    answers = constant_answers(task, prevalence, len(y_true))
    f1_of = {name: float(label_rates(y_true, answer).f1.mean()) for name, answer in answers.items()}
    name = max(f1_of, key=lambda each: f1_of[each])
    for predicted in predictions.values():
        constant = np.broadcast_to(answers[name], predicted.shape)
        if macro_f1_intervals(y_true, constant, predicted, n_samples=n_samples, seed=seed)[2].low > 0:
            return None
    return (
        f"No arm is clearly better than chance on the test images: the best answer that ignores them, {name}, has "
        f"macro F1 {f1_of[name]:.3f}. The labels or the features carry too little."
    )


def _caveat(y_true: NDArray[np.integer], seeds: int, seed_matters: bool) -> str:
    """Say what the intervals leave out, and which labels can hardly be judged."""
    if seeds > 1:
        trained = (
            f"Each arm was trained under {seeds} seeds; the intervals take in the choice of test images and of seeds."
        )
    elif seed_matters:
        trained = (
            "Each arm was trained once; the intervals take in the choice of test images, but another seed may say "
            "otherwise. Set train.repeats to 3 or more."
        )
    else:
        trained = (
            "Each arm's head was fitted to the end, which no seed changes; the intervals take in the choice of test "
            "images."
        )
    few = int(((y_true == 1).sum(axis=0) < MIN_TEST_IMAGES).sum())
    labels = "1 label has" if few == 1 else f"{few} labels have"
    return trained + f" {labels} fewer than {MIN_TEST_IMAGES} test images, each of which moves the mean." * (few > 0)


def _deploy_sentence(table: pd.DataFrame, arm: str) -> str:
    best = table.set_index("arm")["validation_macro_f1"]
    if best.isna().all():
        return f"The model to use is that of {arm}: validation says nothing for another."
    better = best.idxmax()
    spared = f", since {better}, which is better there, did harm on the test images" if better != arm else ""
    return f"The model to use is that of {arm}, with macro F1 {best[arm]:.3f} on validation{spared}."
