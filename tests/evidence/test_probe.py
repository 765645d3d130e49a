"""Small data of the kinds on which conclusions used to mislead."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score

from counterweight.evidence.cross_validation import ProbeData
from counterweight.evidence.folds import repeated_folds
from counterweight.evidence.probe import ProbeConfig, ProbeResult, run_probe
from counterweight.evidence.remedies import build_remedies

N_IMAGES, N_FOLDS = 300, 3


def probed(
    task: str,
    features: NDArray[np.float64],
    targets: NDArray[np.int8],
    groups: NDArray[np.intp] | None = None,
    *,
    random_features: bool = False,
) -> ProbeResult:
    """The probe of remedies without copies."""
    ids, labels = [f"{row}.jpg" for row in range(len(targets))], [f"label {i}" for i in range(targets.shape[1])]
    data = ProbeData(task, ids, labels, features.astype(np.float32), targets, {}, {})
    remedies = [each for each in build_remedies(task, []) if each.training.strategy is None]
    config = ProbeConfig(N_FOLDS, 1, 0, 1, random_features)
    apart = np.arange(len(targets)) if groups is None else groups
    return run_probe(data, apart, apart, remedies, config)


def noise() -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Four attributes of clothes that the features say nothing about."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N_IMAGES, 10)), (rng.random((N_IMAGES, 4)) < [0.6, 0.5, 0.5, 0.4]).astype(np.int8)


def clear(n_images: int = N_IMAGES) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Three labels, the last one rare, that features show well."""
    rng = np.random.default_rng(0)
    targets = (rng.random((n_images, 3)) < [0.5, 0.3, 0.1]).astype(np.int8)
    return np.hstack([targets * 2.0, np.zeros((n_images, 5))]) + rng.normal(size=(n_images, 8)), targets


def test_labels_that_are_noise_are_called_so_first() -> None:
    result = probed("multilabel", *noise())
    assert result.no_signal is not None
    assert result.no_signal.startswith("Not clearly better than chance: ")
    assert "No label is shown, not even label " in result.no_signal


def test_labels_that_features_show_are_not_called_noise() -> None:
    assert probed("multilabel", *clear()).no_signal is None


def test_contradicting_duplicates_put_the_labels_in_doubt() -> None:
    features, targets = noise()
    groups = np.arange(N_IMAGES) // 2
    targets[::2, 0], targets[1::2, 0] = 0, 1
    result = probed("multilabel", features, targets, groups)
    assert result.no_signal is not None
    assert result.no_signal.endswith("The labels are the likelier cause: 300 of 300 duplicates contradict each other.")


def test_random_weights_put_the_features_in_doubt() -> None:
    result = probed("multilabel", *noise(), random_features=True)
    assert result.no_signal is not None
    assert "The features are the likelier cause: they come from random weights" in result.no_signal


def test_contradicting_duplicates_are_listed_below_the_labels_that_are_likely_wrong() -> None:
    features, targets = clear()
    targets[:2] = [[1, 0, 0], [0, 0, 0]]
    groups = np.array([0, 0, *range(1, N_IMAGES - 1)])
    issues = probed("multilabel", features, targets, groups).label_issues
    assert issues[["image_id", "issue", "label", "duplicate"]].tail(2).to_numpy().tolist() == [
        ["0.jpg", "contradiction", "label 0", "1.jpg"],
        ["1.jpg", "contradiction", "label 0", "0.jpg"],
    ]
    assert set(issues["duplicate"][:-2]) <= {""}


def test_an_unweighted_training_is_the_baseline_of_every_remedy() -> None:
    for task in ("multilabel", "multiclass", "binary"):
        first, *others = build_remedies(task, ["gentle"])
        assert (first.name, first.training.balanced, first.training.strategy) == ("nothing", False, None)
        assert all(each.training.balanced == each.name.startswith("weights") for each in others)


@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_macro_f1_is_that_of_scikit_learn(task: str, weight: str | None) -> None:
    features, targets = clear(1_500)
    if task == "multiclass":
        targets = np.eye(3, dtype=np.int8)[(features[:, :3] - [0, 0.5, 1.5]).argmax(axis=1)]
        features = features + np.random.default_rng(1).normal(size=features.shape)
    result = probed(task, features, targets)
    (folds,) = repeated_folds(targets, np.arange(1_500), n_folds=N_FOLDS, n_repeats=1, seed=0)
    options = {
        "Cs": np.logspace(-3, 1, 9), "cv": 4, "scoring": "neg_log_loss", "class_weight": weight, "max_iter": 2000,
        "use_legacy_attributes": False, "l1_ratios": (0,),
    }  # fmt: skip
    by_fold = []
    for fold in range(N_FOLDS):
        train, held_out = folds != fold, folds == fold
        columns = targets.T if task == "multilabel" else [targets.argmax(axis=1)]
        predicted = [
            LogisticRegressionCV(**options).fit(features[train], column[train]).predict(features[held_out])
            for column in columns
        ]
        said = np.column_stack(predicted) if task == "multilabel" else np.eye(3, dtype=int)[predicted[0]]
        by_fold.append(f1_score(targets[held_out], said, average="macro", zero_division=0))
    remedies = result.remedies.set_index("remedy")["macro_f1"]
    assert remedies["weights" if weight else "nothing"] == pytest.approx(np.mean(by_fold), abs=0.01)
