from dataclasses import replace

import numpy as np
import pytest

from counterweight.evidence.cross_validation import CopyFeatures, ProbeData, cross_validate
from counterweight.evidence.folds import repeated_folds
from counterweight.evidence.remedies import Training

IDS = [f"{i}" for i in range(120)]
LABELS = ["sea", "sunset"]
COPIES = Training(strategy="labels", pipeline="gentle")


@pytest.fixture
def data() -> ProbeData:
    """120 images whose labels two of eight features show, one of them rare; three copies of each rare image."""
    rng = np.random.default_rng(0)
    targets = np.column_stack([np.arange(120) % 2 == 0, np.arange(120) < 12]).astype(int)
    features = rng.normal(size=(120, 8)).astype(np.float32)
    features[:, :2] += 2 * targets
    wanted = np.where(targets[:, 1] == 1, 3, 0)
    sources = np.repeat(np.arange(12), 2)
    copies = CopyFeatures((features[sources] + rng.normal(scale=0.3, size=(24, 8))).astype(np.float32), sources)
    return ProbeData("multilabel", IDS, LABELS, features, targets, {"labels": wanted}, {"gentle": copies})


@pytest.fixture
def folds(data: ProbeData) -> np.ndarray:
    """Four folds, once."""
    return repeated_folds(data.targets, np.arange(120), n_folds=4, n_repeats=1, seed=0)


def test_each_image_is_held_out_once_per_repeat(data: ProbeData, folds: np.ndarray) -> None:
    results = cross_validate(data, folds, [Training()], workers=1)
    assert np.sort(np.concatenate([fold.rows for fold in results])).tolist() == list(range(120))


def test_the_labels_of_held_out_images_do_not_change_their_scores(data: ProbeData, folds: np.ndarray) -> None:
    trainings = [Training(), Training(balanced=True), Training(strategy="labels"), COPIES]
    rows = np.flatnonzero(folds[0] == 0)
    other = data.targets.copy()
    other[rows] = 1 - other[rows]
    before, after = (
        cross_validate(changed, folds, trainings, tuned=trainings, workers=1)[0]
        for changed in (data, replace(data, targets=other))
    )
    for training in trainings:
        np.testing.assert_array_equal(before.by_training[training].scores, after.by_training[training].scores)
        assert before.by_training[training].rule == after.by_training[training].rule


def test_copies_of_held_out_images_do_not_change_their_scores(data: ProbeData, folds: np.ndarray) -> None:
    held_out = np.flatnonzero(folds[0] == 0)
    copies = data.copies["gentle"]
    features = copies.features.copy()
    features[np.isin(copies.sources, held_out)] = 100
    changed = replace(data, copies={"gentle": CopyFeatures(features, copies.sources)})
    before, after = (cross_validate(part, folds, [COPIES], workers=1)[0] for part in (data, changed))
    np.testing.assert_array_equal(before.by_training[COPIES].scores, after.by_training[COPIES].scores)


def test_copies_and_weights_raise_the_scores_of_the_rare_label(data: ProbeData, folds: np.ndarray) -> None:
    trainings = [Training(), Training(balanced=True), Training(strategy="labels"), COPIES]
    fold = cross_validate(data, folds, trainings, workers=1)[0]
    nothing, *others = (fold.by_training[training].scores[:, 1].mean() for training in trainings)
    assert all(other > nothing for other in others)


def test_results_are_equal_for_any_number_of_workers(data: ProbeData, folds: np.ndarray) -> None:
    one, two = (cross_validate(data, folds, [Training(), COPIES], workers=workers) for workers in (1, 2))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.by_training[COPIES].scores, second.by_training[COPIES].scores)
        np.testing.assert_array_equal(first.by_fraction[0.3], second.by_fraction[0.3])


def test_copies_left_out_of_the_sample_are_represented_by_the_others(data: ProbeData, folds: np.ndarray) -> None:
    """Half of the sources without their copies: the weight of all copies stays that of the strategy."""
    copies = data.copies["gentle"]
    kept = copies.sources % 2 == 0
    fewer = replace(data, copies={"gentle": CopyFeatures(copies.features[kept], copies.sources[kept])})
    fold = cross_validate(fewer, folds, [Training(), COPIES], workers=1)[0]
    assert fold.by_training[COPIES].scores[:, 1].mean() > fold.by_training[Training()].scores[:, 1].mean()


def test_one_label_per_image_has_scores_that_sum_to_one(data: ProbeData, folds: np.ndarray) -> None:
    targets = np.eye(2, dtype=int)[data.targets[:, 0]]
    classes = replace(data, task="binary", targets=targets, wanted={"classes": np.zeros(120, dtype=int)})
    fold = cross_validate(classes, folds, [Training(balanced=True)], workers=1)[0]
    held_out = fold.by_training[Training(balanced=True)]
    np.testing.assert_allclose(held_out.scores.sum(axis=1), 1)
    assert held_out.rule.positive in LABELS


def test_only_asked_for_thresholds_are_tuned(data: ProbeData, folds: np.ndarray) -> None:
    trainings = [Training(), Training(balanced=True)]
    fold = cross_validate(data, folds, trainings, tuned=[Training()], workers=1)[0]
    tuned, untuned = (fold.by_training[training].rule for training in trainings)
    assert tuned.per_label != dict.fromkeys(LABELS, 0.5)
    assert (untuned.tuned, untuned.per_label) == (0.5, dict.fromkeys(LABELS, 0.5))
