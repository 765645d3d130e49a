"""The probe and the head that train fits to frozen features, beside scikit-learn's logistic regression."""

from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import f1_score, log_loss
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from counterweight.evidence.cross_validation import ProbeData, cross_validate
from counterweight.evidence.fold_metrics import fold_table
from counterweight.evidence.folds import repeated_folds
from counterweight.evidence.remedies import build_remedies
from counterweight.training.linear_head import PENALTIES, fit_linear_head
from counterweight.training.losses import Objective, build_loss


def probe_beside_scikit_learn(data: ProbeData, workers: int) -> list[dict[str, Any]]:
    """Compare macro F1 without remedy and with weights."""
    (folds,) = repeated_folds(data.targets, np.arange(len(data.targets)), n_folds=5, n_repeats=1, seed=0)
    remedies = [remedy for remedy in build_remedies(data.task, []) if remedy.name in ("nothing", "weights")]
    trainings = [remedy.training for remedy in remedies]
    by_fold = fold_table(data, remedies, cross_validate(data, folds[None], trainings, workers=workers), 5, workers=1)
    rows = []
    for remedy in remedies:
        balanced = remedy.training.balanced
        peers = Parallel(n_jobs=workers)(delayed(_peer_f1)(data, folds, fold, balanced) for fold in range(5))
        probe = by_fold.loc[by_fold["remedy"] == remedy.name, "macro_f1"].mean()
        rows.append({"remedy": remedy.name, "probe": probe, "scikit-learn": np.mean(peers)})
    return rows


def _peer_f1(data: ProbeData, folds: NDArray[np.intp], fold: int, balanced: bool) -> float:
    """Macro F1 of scikit-learn's logistic regression on one fold."""
    train, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    weight = "balanced" if balanced else None
    options: dict[str, Any] = {
        "Cs": np.logspace(-3, 0, 7), "cv": 4, "scoring": "neg_log_loss", "class_weight": weight, "max_iter": 2000,
        "use_legacy_attributes": False, "l1_ratios": (0,),
    }  # fmt: skip
    features, targets = data.features, data.targets
    with threadpool_limits(1):
        if data.task != "multilabel":
            model = LogisticRegressionCV(**options).fit(features[train], targets[train].argmax(axis=1))
            predicted = np.eye(targets.shape[1], dtype=bool)[model.predict(features[held_out])]
        else:
            columns = [
                LogisticRegressionCV(**options).fit(features[train], column[train]).predict(features[held_out]) == 1
                for column in targets.T
            ]
            predicted = np.column_stack(columns)
    return _macro_f1(targets[held_out], predicted)


def _macro_f1(y_true: NDArray[np.integer], y_pred: NDArray[Any]) -> float:
    return float(f1_score(y_true, y_pred, average="macro", zero_division=0))


def heads_beside_scikit_learn(data: ProbeData, workers: int) -> list[dict[str, Any]]:
    """Compare macro F1 of linear heads without remedy and with weights."""
    (folds,) = repeated_folds(data.targets, np.arange(len(data.targets)), n_folds=5, n_repeats=1, seed=0)
    torch.set_num_threads(1)
    rows = []
    for weighted in (False, True):
        found = Parallel(n_jobs=workers)(delayed(_head_f1)(data, folds, fold, weighted) for fold in range(5))
        head, peer = np.mean(found, axis=0)
        rows.append({"remedy": "weights" if weighted else "nothing", "head": head, "scikit-learn": peer})
    return rows


def _head_f1(data: ProbeData, folds: NDArray[np.intp], fold: int, weighted: bool) -> tuple[float, float]:
    """Macro F1 of a head and of scikit-learn on one fold, both with the penalty that is best on the next fold."""
    held_out, chosen_on = folds == fold, folds == (fold + 1) % 5
    train = ~held_out & ~chosen_on
    kind, scores = ("bce", "sigmoid") if data.task == "multilabel" else ("cross_entropy", "softmax")
    losses = [build_loss(kind, data.targets[train], weighted=each) for each in (weighted, False)]
    parts = [
        (torch.from_numpy(data.features[rows]), torch.from_numpy(data.targets[rows].astype(np.float32)))
        for rows in (train, chosen_on)
    ]
    head = torch.nn.Linear(data.features.shape[1], data.targets.shape[1])
    fit_linear_head(head, Objective(losses[0], losses[1], scores, "loss"), *parts)
    with torch.inference_mode():
        logits = head(torch.from_numpy(data.features[held_out])).numpy()
    weight = "balanced" if weighted else None
    with threadpool_limits(1):
        if data.task == "multilabel":
            predicted = np.column_stack(
                [_peer(data.features, column, train, chosen_on, weight, held_out) for column in data.targets.T]
            )
        else:
            classes = _peer(data.features, data.targets.argmax(axis=1), train, chosen_on, weight, held_out)
            predicted = np.eye(data.targets.shape[1], dtype=int)[classes]
    by_head = (
        logits > 0 if data.task == "multilabel" else np.eye(data.targets.shape[1], dtype=int)[logits.argmax(axis=1)]
    )
    return _macro_f1(data.targets[held_out], by_head), _macro_f1(data.targets[held_out], predicted)


def _peer(
    features: NDArray[np.float32], y_true: NDArray[np.integer], train: NDArray[np.bool_], chosen_on: NDArray[np.bool_],
    weight: str | None, held_out: NDArray[np.bool_],
) -> NDArray[np.integer]:  # fmt: skip
    """Predict the held-out rows by the logistic regression with the lowest log loss on other rows."""
    scale = StandardScaler().fit(features[train])
    fitted = [
        LogisticRegression(C=1 / (penalty * train.sum()), class_weight=weight, max_iter=2000).fit(
            scale.transform(features[train]), y_true[train]
        )
        for penalty in PENALTIES
    ]
    best = min(
        fitted,
        key=lambda model: log_loss(
            y_true[chosen_on], model.predict_proba(scale.transform(features[chosen_on])), labels=model.classes_
        ),
    )
    predicted: NDArray[np.integer] = best.predict(scale.transform(features[held_out]))
    return predicted
