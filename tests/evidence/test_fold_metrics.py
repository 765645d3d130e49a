import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits

from counterweight.evidence.cross_validation import CopyFeatures, Fold, HeldOut, ProbeData, cross_validate
from counterweight.evidence.fold_metrics import affinity_table, balanced_f1, fold_table
from counterweight.evidence.linear_probe import LinearProbe
from counterweight.evidence.remedies import Remedy, Training
from counterweight.metrics.classification import constant_answers
from counterweight.metrics.decisions import DecisionRule

IDS = list("abcd")
LABELS = ["sea", "trees", "sunset"]
TARGETS = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
PROBE = LinearProbe(np.zeros((2, 3)), is_single_label=False)  # No table asks for it.
RULE = DecisionRule("multilabel", LABELS, None, 0.3, dict.fromkeys(LABELS, 0.3))


def table(scores: list[list[float]]) -> dict[str, dict[str, float]]:
    data = ProbeData("multilabel", IDS, LABELS, np.zeros((4, 1), dtype=np.float32), TARGETS, {}, {})
    fold = Fold(np.arange(4), {Training(): HeldOut(np.array(scores), RULE)}, {}, {}, PROBE)
    remedies = [Remedy("nothing", Training(), 0.5), Remedy("one tuned threshold", Training(), "tuned")]
    rows = fold_table(data, remedies, [fold], n_folds=1, workers=1)
    return rows.set_index("remedy").to_dict("index")


def test_perfect_scores_have_perfect_metrics() -> None:
    row = table(np.where(TARGETS == 1, 0.9, 0.1).tolist())["nothing"]
    assert (row["macro_f1"], row["rare_f1"], row["rare_recall"], row["map"], row["macro_auc"]) == (1, 1, 1, 1, 1)


def test_a_remedy_decides_by_its_own_threshold() -> None:
    rows = table(np.where(TARGETS == 1, 0.4, 0.1).tolist())
    assert (rows["nothing"]["macro_f1"], rows["one tuned threshold"]["macro_f1"]) == (0, 1)


def test_rare_metrics_are_those_of_the_rarest_third() -> None:
    scores = np.where(TARGETS == 1, 0.9, 0.1)
    scores[0, 2] = 0.2
    row = table(scores.tolist())["nothing"]
    assert row["rare_recall"] == 0
    assert row["macro_f1"] == pytest.approx(2 / 3)


def test_a_label_that_no_held_out_image_has_is_left_out() -> None:
    data = ProbeData("multilabel", IDS, LABELS, np.zeros((4, 1), dtype=np.float32), TARGETS, {}, {})
    held_out = HeldOut(np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1]]), RULE)
    fold = Fold(np.array([1, 2]), {Training(): held_out}, {}, {}, PROBE)
    row = fold_table(data, [Remedy("nothing", Training(), 0.5)], [fold], n_folds=1, workers=1).iloc[0]
    assert row["macro_f1"] == 1
    assert np.isnan(row["rare_f1"])


def test_chance_is_every_constant_answer() -> None:
    rows = table(np.full((4, 3), 0.5).tolist())
    every = rows["every label"]
    assert every["macro_f1"] == pytest.approx((2 / 3 + 6 / 7 + 2 / 5) / 3)
    assert every["map"] == pytest.approx((2 / 4 + 3 / 4 + 1 / 4) / 3)
    assert every["macro_auc"] == 0.5
    assert rows["no label"]["macro_f1"] == 0
    assert rows["the most common label"]["macro_f1"] == pytest.approx(6 / 7 / 3)


def test_a_constant_answer_with_one_label_per_image_is_one_class() -> None:
    answers = constant_answers("multiclass", np.array([0.2, 0.5, 0.3]), 1000)
    assert answers["the most common class"].tolist() == [[False, True, False]] * 1000
    at_random = answers["at random by prevalence"]
    assert (at_random.sum(axis=1) == 1).all()
    assert at_random.mean(axis=0) == pytest.approx([0.2, 0.5, 0.3], abs=0.05)


def test_balanced_f1_of_labels_is_f1_of_as_many_images_with_each_as_the_share() -> None:
    """Of four images with the label two are found; of forty without it, ten are taken for it."""
    y_true = np.array([[1]] * 4 + [[0]] * 40)
    y_pred = np.array([[True]] * 2 + [[False]] * 2 + [[True]] * 10 + [[False]] * 30)
    repeated = np.concatenate([np.repeat(np.arange(4), 10), np.arange(4, 44)])  # Half have it now.
    assert balanced_f1(y_true, y_pred, 0.5) == pytest.approx([f1_score(y_true[repeated, 0], y_pred[repeated, 0])])


def test_balanced_f1_of_classes_is_f1_of_equally_many_images_of_each() -> None:
    classes, predicted = (
        np.repeat([0, 1, 2], [30, 6, 4]),
        np.array([0] * 20 + [1] * 10 + [1] * 3 + [0] * 3 + [2, 2, 0, 1]),
    )
    repeated = np.concatenate([np.arange(30).repeat(2), np.arange(30, 36).repeat(10), np.arange(36, 40).repeat(15)])
    expected = f1_score(classes[repeated], predicted[repeated], average=None)
    assert balanced_f1(np.eye(3)[classes], np.eye(3, dtype=bool)[predicted], None) == pytest.approx(expected)


def test_a_label_of_no_image_has_a_balanced_f1_of_0() -> None:
    assert balanced_f1(np.zeros((3, 2), dtype=int), np.zeros((3, 2), dtype=bool), 0.5).tolist() == [0, 0]
    assert balanced_f1(np.eye(2, dtype=int)[[0, 0]], np.eye(2, dtype=bool)[[0, 0]], None).tolist() == [1, 0]


def test_affinity_is_the_share_of_labels_that_copies_still_show() -> None:
    """A hundred images of two labels that one feature each shows; half of the copies have lost the second."""
    rng = np.random.default_rng(0)
    targets = (rng.random((100, 2)) < 0.5).astype(np.int8)
    features = (targets * 8 - 4 + rng.normal(size=(100, 2))).astype(np.float32)
    sources = np.flatnonzero(targets[:, 1] == 1)
    lost = features[sources].copy()
    lost[::2, 1] = -4
    copies = {"same\n": CopyFeatures(features[sources], sources), "lost\n": CopyFeatures(lost, sources)}
    data = ProbeData("multilabel", [str(i) for i in range(100)], ["sea", "sun"], features, targets, {}, copies)
    folds = np.array([np.arange(100) % 5, np.arange(100)[::-1] // 20])
    table = affinity_table(data, cross_validate(data, folds, [Training()], workers=1)).set_index("pipeline")
    n_labels = int(targets[sources].sum())
    assert table["copies"].tolist() == [len(sources)] * 2
    assert table["labels"].tolist() == [n_labels] * 2
    assert table["seen_on_sources"].tolist() == [1.0, 1.0]
    assert table["augmenter"].tolist() == ["", ""]
    assert table.loc["same", "affinity"] == 1.0
    assert table.loc["same", "diversity"] == 1.0
    assert table.loc["lost", "diversity"] > 1.5
    assert table.loc["lost", "affinity"] == pytest.approx(1 - len(sources[::2]) / n_labels)


def test_labels_that_are_seen_nowhere_have_no_affinity() -> None:
    features, targets = np.zeros((20, 1), dtype=np.float32), np.zeros((20, 2), dtype=np.int8)
    copies = {"mine\n": CopyFeatures(features[:2], np.array([0, 1]))}
    data = ProbeData("multilabel", [str(i) for i in range(20)], ["sea", "sun"], features, targets, {}, copies)
    table = affinity_table(data, cross_validate(data, np.arange(20)[None] % 4, [Training()], workers=1))
    assert table["labels"].tolist() == [0]
    assert table["affinity"].isna().all()


def with_copies(features: NDArray[np.float32], targets: NDArray[np.int8], sources: NDArray[np.intp]) -> ProbeData:
    copies = {"mine\n": CopyFeatures(features[sources] * 0.5, sources)}
    return ProbeData("multilabel", [f"{i}" for i in range(len(targets))], ["sea", "sun"], features, targets, {}, copies)


def affinity_of(data: ProbeData) -> pd.DataFrame:
    return affinity_table(data, cross_validate(data, np.arange(len(data.targets))[None] % 4, [Training()], workers=1))


def test_copies_of_images_of_which_no_label_is_known_have_no_diversity() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 2)) < 0.5).astype(np.int8)
    targets[:3] = -1
    data = with_copies(rng.normal(size=(40, 2)).astype(np.float32), targets, np.arange(3))
    assert affinity_of(data)["diversity"].isna().all()


def test_diversity_does_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((777, 2)) < 0.5).astype(np.int8)
    data = with_copies(rng.normal(size=(777, 512)).astype(np.float32), targets, np.arange(300))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(affinity_of(data)["diversity"].iloc[0])
    assert found[0] == found[1]
