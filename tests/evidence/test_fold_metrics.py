import numpy as np
import pytest

from counterweight.evidence.cross_validation import Fold, HeldOut, ProbeData
from counterweight.evidence.fold_metrics import fold_table
from counterweight.evidence.remedies import Remedy, Training
from counterweight.metrics.classification import constant_answers
from counterweight.metrics.decisions import DecisionRule

IDS = list("abcd")
LABELS = ["sea", "trees", "sunset"]
TARGETS = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
RULE = DecisionRule("multilabel", LABELS, None, 0.3, dict.fromkeys(LABELS, 0.3))


def table(scores: list[list[float]]) -> dict[str, dict[str, float]]:
    data = ProbeData("multilabel", IDS, LABELS, np.zeros((4, 1), dtype=np.float32), TARGETS, {}, {})
    fold = Fold(np.arange(4), {Training(): HeldOut(np.array(scores), RULE)}, {}, {})
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
    fold = Fold(np.array([1, 2]), {Training(): HeldOut(np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1]]), RULE)}, {}, {})
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
