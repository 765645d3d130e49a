import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.metrics.calibration import Calibration
from counterweight.metrics.decisions import (
    DEPLOYED,
    HEADLINE,
    DecisionRule,
    calibrate,
    decision_names,
    is_single_label,
    rarest,
    read,
    summary,
)

SCENES = DecisionRule("multilabel", ["sea", "desert"], None, 0.4, {"sea": 0.7, "desert": 0.2})
PETS = DecisionRule("binary", ["cat", "dog"], "dog", 0.3, {"dog": 0.3})
FRUIT = DecisionRule("multiclass", ["apple", "fig", "pear"], None, 0.4, {"apple": 0.5, "fig": 0.1, "pear": 0.5})
# Odds that are 4 times too high for one label and right for the other; odds 4 times too high; logits 2 times too large.
CALIBRATED_SCENES = replace(SCENES, calibration=Calibration("sigmoid", [1.0, 1.0], [-math.log(4), 0.0]))
CALIBRATED_PETS = replace(PETS, calibration=Calibration("sigmoid", [1.0], [-math.log(4)]))
CALIBRATED_FRUIT = replace(FRUIT, calibration=Calibration("softmax", [0.5] * 3, [0.0] * 3))
CALIBRATED = [CALIBRATED_SCENES, CALIBRATED_PETS, CALIBRATED_FRUIT]


def test_labels_that_reach_their_threshold_are_predicted() -> None:
    scores = np.array([[0.7, 0.2], [0.69, 0.19], [0.4, 0.5]])
    assert SCENES.apply(scores, 0.5).tolist() == [[True, False], [True, False], [False, True]]
    assert SCENES.apply(scores, "tuned").tolist() == [[True, False], [True, False], [True, True]]
    assert SCENES.apply(scores, "per_label").tolist() == [[True, True], [False, False], [False, True]]


def test_binary_task_predicts_exactly_one_class() -> None:
    scores = np.array([[0.75, 0.25], [0.7, 0.3], [0.2, 0.8]])
    assert PETS.apply(scores, 0.5).tolist() == [[True, False], [True, False], [False, True]]
    assert PETS.apply(scores, "tuned").tolist() == [[True, False], [False, True], [False, True]]
    assert PETS.apply(scores, "argmax").tolist() == [[True, False], [True, False], [False, True]]


def test_positive_class_may_be_the_first_column() -> None:
    first = DecisionRule("binary", ["cat", "dog"], "cat", 0.3, {"cat": 0.3})
    assert first.apply(np.array([[0.3, 0.7], [0.2, 0.8]]), "tuned").tolist() == [[True, False], [False, True]]


def test_single_threshold_predicts_any_number_of_classes() -> None:
    scores = np.array([[0.45, 0.1, 0.45], [0.3, 0.4, 0.3], [0.35, 0.3, 0.35]])
    assert FRUIT.apply(scores, 0.4).tolist() == [[True, False, True], [False, True, False], [False, False, False]]
    assert FRUIT.apply(scores, "tuned").tolist() == FRUIT.apply(scores, 0.4).tolist()


def test_argmax_predicts_the_class_with_the_highest_score() -> None:
    scores = np.array([[0.45, 0.1, 0.45], [0.3, 0.4, 0.3]])
    assert FRUIT.apply(scores, "argmax").tolist() == [[True, False, False], [False, True, False]]


def test_class_thresholds_divide_the_scores() -> None:
    # 0.6/0.5 against 0.15/0.1, and 0.8/0.5 against 0.05/0.1.
    scores = np.array([[0.6, 0.15, 0.25], [0.8, 0.05, 0.15]])
    assert FRUIT.apply(scores, "per_label").tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(("rule", "decision"), [(SCENES, "argmax"), (PETS, "per_label"), (FRUIT, "best")])
def test_decision_that_the_task_lacks_is_an_error(rule: DecisionRule, decision: str) -> None:
    with pytest.raises(ValueError, match=f"the task {rule.task} has no decision '{decision}'"):
        rule.apply(np.zeros((1, len(rule.labels))), decision)


@pytest.mark.parametrize("rule", [SCENES, PETS, FRUIT], ids=lambda rule: str(rule.task))
def test_every_named_decision_can_be_applied(rule: DecisionRule) -> None:
    names = decision_names(rule.task, [0.25])
    scores = np.full((4, len(rule.labels)), 0.1)
    assert {rule.apply(scores, decision).shape for decision in names.values()} == {scores.shape}


def test_fixed_thresholds_are_named_by_their_digits() -> None:
    assert decision_names("binary", [0.50, 0.125]) == {
        "0.5": 0.5, "0.125": 0.125, "tuned": "tuned", "argmax": "argmax",
    }  # fmt: skip


@pytest.mark.parametrize("rule", [SCENES, PETS, FRUIT], ids=lambda rule: str(rule.task))
def test_single_label_decisions_predict_one_label_for_any_scores(rule: DecisionRule) -> None:
    scores = np.random.default_rng(0).random((50, len(rule.labels)))
    predictions = {
        name: rule.apply(scores, decision) for name, decision in decision_names(rule.task, [0.2, 0.9]).items()
    }
    single = {name for name, y_pred in predictions.items() if (y_pred.sum(axis=1) == 1).all()}
    assert single == {name for name in predictions if is_single_label(rule.task, name)}


def test_descriptions_contain_the_thresholds() -> None:
    assert {name: SCENES.describe(decision) for name, decision in decision_names("multilabel", [0.5]).items()} == {
        "0.5": "each label that scores at least 0.5",
        "tuned": "each label that scores at least 0.4, tuned on validation",
        "per_label": "each label that scores at least its threshold, tuned on validation: sea 0.7, desert 0.2",
    }
    assert PETS.describe("tuned") == "dog if it scores at least 0.3, tuned on validation; otherwise the other class"
    assert FRUIT.describe("argmax") == "the class with the highest score"
    assert FRUIT.describe("per_label") == (
        "the class with the highest ratio of score to threshold, tuned on validation: apple 0.5, fig 0.1, pear 0.5"
    )


def test_summary_has_the_headline_decision_and_the_thresholds() -> None:
    assert summary(PETS) == {
        "headline": "tuned", "positive": "dog", "tuned_threshold": 0.3, "thresholds": {"dog": 0.3},
    }  # fmt: skip
    assert list(summary(FRUIT)) == ["headline", "tuned_threshold", "thresholds"]
    assert (summary(SCENES)["headline"], summary(FRUIT)["headline"]) == ("tuned", "argmax")


def test_rarest_label_is_the_last_of_equal_ones() -> None:
    labels = ["cat", "dog", "owl"]
    assert rarest(labels, np.array([5, 2, 9])) == "dog"
    assert rarest(labels, np.array([4, 4, 4])) == "owl"
    assert rarest(labels, np.array([2, 2, 4])) == "dog"


@pytest.mark.parametrize("rule", [SCENES, PETS, FRUIT, *CALIBRATED], ids=lambda rule: str(rule.task))
def test_rule_is_read_as_it_was_written(rule: DecisionRule, tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text(json.dumps(asdict(rule)))
    assert read(tmp_path) == rule


def test_folder_without_decisions_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert str(error.value) == f"{tmp_path}: not a model: decisions.json is missing. Name the folder that train wrote."


def test_rule_of_a_model_without_calibration_is_read(tmp_path: Path) -> None:
    content = asdict(SCENES)
    del content["calibration"]
    (tmp_path / "decisions.json").write_text(json.dumps(content))
    assert read(tmp_path) == SCENES


@pytest.mark.parametrize(
    "content",
    [
        *("{", "{}", "[1]", '{"task": "binary", "threshold": 0.5}'),
        json.dumps(asdict(SCENES) | {"calibration": {"slopes": [1.0]}}),
        json.dumps(asdict(SCENES) | {"calibration": 0.5}),
    ],
)
def test_invalid_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text(content)
    with pytest.raises(InputError, match=r"decisions\.json: not a valid decision rule: "):
        read(tmp_path)


def test_multilabel_and_binary_tasks_are_judged_at_the_tuned_threshold_and_classes_by_argmax() -> None:
    assert HEADLINE == {"multilabel": "tuned", "binary": "tuned", "multiclass": "argmax"}


def test_new_images_are_labeled_by_the_thresholds_of_the_labels_or_the_positive_class_or_by_argmax() -> None:
    assert DEPLOYED == {"multilabel": "per_label", "binary": "tuned", "multiclass": "argmax"}


def test_thresholds_are_found_by_label_not_by_position() -> None:
    rule = DecisionRule("multilabel", ["sea", "desert"], None, 0.4, {"desert": 0.2, "sea": 0.7})
    assert rule.apply(np.array([[0.7, 0.2], [0.3, 0.1]]), "per_label").tolist() == [[True, True], [False, False]]


def test_probabilities_without_calibration_are_the_scores() -> None:
    scores = np.array([[0.7, 0.2]])
    assert SCENES.probabilities(scores).tolist() == scores.tolist()
    assert SCENES.describe_probabilities() == "the scores as they are"


def test_probabilities_are_calibrated_label_by_label() -> None:
    # Odds of 4 become 1, and odds of 1 become 1/4.
    probabilities = CALIBRATED_SCENES.probabilities(np.array([[0.8, 0.8], [0.5, 0.5]]))
    assert probabilities.tolist() == [pytest.approx([0.5, 0.8]), pytest.approx([0.2, 0.5])]


@pytest.mark.parametrize("other", [0.2, 0.9])
def test_probabilities_of_a_binary_task_follow_from_the_positive_score(other: float) -> None:
    assert CALIBRATED_PETS.probabilities(np.array([[other, 0.8]]))[0].tolist() == pytest.approx([0.5, 0.5])
    first = replace(CALIBRATED_PETS, positive="cat")
    assert first.probabilities(np.array([[0.5, other]]))[0].tolist() == pytest.approx([0.2, 0.8])


def test_probabilities_of_classes_sum_to_1() -> None:
    # The square roots of 0.64, 0.32 and 0.04 are 0.8, 0.4 * sqrt(2) and 0.2.
    roots = np.array([0.8, 0.4 * 2**0.5, 0.2])
    probabilities = CALIBRATED_FRUIT.probabilities(np.array([[0.64, 0.32, 0.04]]))
    assert probabilities[0].tolist() == pytest.approx((roots / roots.sum()).tolist())
    assert probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("calibrated", "rule"), [(CALIBRATED_SCENES, SCENES), (CALIBRATED_PETS, PETS), (CALIBRATED_FRUIT, FRUIT)]
)
def test_labels_do_not_depend_on_the_calibration(calibrated: DecisionRule, rule: DecisionRule) -> None:
    scores = np.random.default_rng(0).random((50, len(rule.labels)))
    for decision in decision_names(rule.task, [0.2, 0.9]).values():
        assert calibrated.apply(scores, decision).tolist() == rule.apply(scores, decision).tolist()


def test_description_of_probabilities_has_the_thresholds_as_probabilities() -> None:
    # Odds of 7 to 3 become 7 to 12, and 3 to 7 become 3 to 28.
    assert CALIBRATED_SCENES.describe_probabilities() == (
        "calibrated on validation, where the thresholds are sea 0.368, desert 0.2"
    )
    assert CALIBRATED_PETS.describe_probabilities() == "calibrated on validation, where the thresholds are dog 0.0968"
    assert CALIBRATED_FRUIT.describe_probabilities() == "calibrated on validation"


def test_described_thresholds_are_found_by_label_not_by_position() -> None:
    rule = replace(CALIBRATED_SCENES, per_label={"desert": 0.2, "sea": 0.7})
    assert rule.describe_probabilities().endswith("the thresholds are sea 0.368, desert 0.2")


def test_labels_are_calibrated_by_a_line_each_and_classes_by_one_temperature() -> None:
    y_true, scores = np.eye(3, dtype=int)[[0, 1, 2] * 10], np.tile([[0.5, 0.3, 0.2]], (30, 1))
    labels = calibrate(replace(FRUIT, task="multilabel"), y_true, scores)
    assert labels.calibration is not None
    assert (labels.calibration.kind, len(set(labels.calibration.intercepts))) == ("sigmoid", 3)
    classes = calibrate(FRUIT, y_true, scores)
    assert classes.calibration is not None
    assert (classes.calibration.kind, len(set(classes.calibration.slopes))) == ("softmax", 1)
    assert replace(classes, calibration=None) == FRUIT


@pytest.mark.parametrize("positive", ["dog", "cat"])
def test_binary_task_is_calibrated_by_the_positive_class(positive: str) -> None:
    # One of five images is a dog, and all score 0.5 for the dog and 0.8 for the cat.
    y_true, scores = np.array([[1, 0]] * 4 + [[0, 1]]), np.tile([[0.8, 0.5]], (5, 1))
    rule = calibrate(replace(PETS, positive=positive), y_true, scores)
    assert rule.calibration is not None
    assert len(rule.calibration.slopes) == 1
    assert rule.probabilities(scores).tolist() == [pytest.approx([0.8, 0.2], abs=1e-6)] * 5
