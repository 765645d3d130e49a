from pathlib import Path

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.metrics.decisions import (
    Decisions,
    commonest,
    gives_one,
    names_of_decisions,
    positive_class,
    rarest,
    read,
    summary,
    write,
)

SCENES = Decisions("multilabel", ["sea", "desert"], None, 0.4, {"sea": 0.7, "desert": 0.2})
PETS = Decisions("binary", ["cat", "dog"], "dog", 0.3, {"dog": 0.3})
FRUIT = Decisions("multiclass", ["apple", "fig", "pear"], None, 0.4, {"apple": 0.5, "fig": 0.1, "pear": 0.5})


def test_label_is_given_from_its_threshold_on() -> None:
    scores = np.array([[0.7, 0.2], [0.69, 0.19], [0.4, 0.5]])
    assert SCENES.given(scores, 0.5).tolist() == [[True, False], [True, False], [False, True]]
    assert SCENES.given(scores, "tuned").tolist() == [[True, False], [True, False], [True, True]]
    assert SCENES.given(scores, "per_label").tolist() == [[True, True], [False, False], [False, True]]


def test_of_two_classes_exactly_one_is_given() -> None:
    scores = np.array([[0.75, 0.25], [0.7, 0.3], [0.2, 0.8]])
    assert PETS.given(scores, 0.5).tolist() == [[True, False], [True, False], [False, True]]
    assert PETS.given(scores, "tuned").tolist() == [[True, False], [False, True], [False, True]]
    assert PETS.given(scores, "argmax").tolist() == [[True, False], [True, False], [False, True]]


def test_positive_class_may_be_the_first_column() -> None:
    first = Decisions("binary", ["cat", "dog"], "cat", 0.3, {"cat": 0.3})
    assert first.given(np.array([[0.3, 0.7], [0.2, 0.8]]), "tuned").tolist() == [[True, False], [False, True]]


def test_of_several_classes_a_threshold_gives_any_number() -> None:
    scores = np.array([[0.45, 0.1, 0.45], [0.3, 0.4, 0.3], [0.35, 0.3, 0.35]])
    assert FRUIT.given(scores, 0.4).tolist() == [[True, False, True], [False, True, False], [False, False, False]]
    assert FRUIT.given(scores, "tuned").tolist() == FRUIT.given(scores, 0.4).tolist()


def test_of_several_classes_the_highest_score_gives_one() -> None:
    scores = np.array([[0.45, 0.1, 0.45], [0.3, 0.4, 0.3]])
    assert FRUIT.given(scores, "argmax").tolist() == [[True, False, False], [False, True, False]]


def test_thresholds_of_classes_divide_the_scores() -> None:
    # 0.6/0.5 against 0.15/0.1, and 0.8/0.5 against 0.05/0.1.
    scores = np.array([[0.6, 0.15, 0.25], [0.8, 0.05, 0.15]])
    assert FRUIT.given(scores, "per_label").tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(("decisions", "how"), [(SCENES, "argmax"), (PETS, "per_label"), (FRUIT, "best")])
def test_decision_that_the_task_does_not_have_is_an_error(decisions: Decisions, how: str) -> None:
    with pytest.raises(ValueError, match=f"{how} is no way to decide of {decisions.task}"):
        decisions.given(np.zeros((1, len(decisions.labels))), how)


@pytest.mark.parametrize("decisions", [SCENES, PETS, FRUIT], ids=lambda decisions: str(decisions.task))
def test_every_name_of_a_decision_is_one(decisions: Decisions) -> None:
    names = names_of_decisions(decisions.task, [0.25])
    scores = np.full((4, len(decisions.labels)), 0.1)
    assert {decisions.given(scores, how).shape for how in names.values()} == {scores.shape}


def test_fixed_thresholds_are_named_by_their_digits() -> None:
    assert names_of_decisions("binary", [0.50, 0.125]) == {
        "0.5": 0.5, "0.125": 0.125, "tuned": "tuned", "argmax": "argmax",
    }  # fmt: skip


@pytest.mark.parametrize("decisions", [SCENES, PETS, FRUIT], ids=lambda decisions: str(decisions.task))
def test_decisions_that_give_one_label_give_one_whatever_the_scores(decisions: Decisions) -> None:
    scores = np.random.default_rng(0).random((50, len(decisions.labels)))
    given = {name: decisions.given(scores, how) for name, how in names_of_decisions(decisions.task, [0.2, 0.9]).items()}
    one = {name for name, cells in given.items() if (cells.sum(axis=1) == 1).all()}
    assert one == {name for name in given if gives_one(decisions.task, name)}


def test_decisions_are_described_with_their_thresholds() -> None:
    assert {name: SCENES.described(how) for name, how in names_of_decisions("multilabel", [0.5]).items()} == {
        "0.5": "a label from 0.5 on",
        "tuned": "a label from 0.4 on, tuned on validation",
        "per_label": "a label from its threshold on, tuned on validation: sea 0.7, desert 0.2",
    }
    assert PETS.described("tuned") == "dog from 0.3 on, tuned on validation; else the other class"
    assert FRUIT.described("argmax") == "the class with the highest score"
    assert FRUIT.described("per_label") == (
        "the class with the highest score over its threshold, tuned on validation: apple 0.5, fig 0.1, pear 0.5"
    )


def test_metrics_name_the_decision_that_counts_and_the_thresholds() -> None:
    assert summary(PETS) == {
        "headline": "tuned", "positive": "dog", "tuned_threshold": 0.3, "thresholds": {"dog": 0.3},
    }  # fmt: skip
    assert list(summary(FRUIT)) == ["headline", "tuned_threshold", "thresholds"]
    assert (summary(SCENES)["headline"], summary(FRUIT)["headline"]) == ("tuned", "argmax")


def test_rarest_label_is_the_last_among_equals_and_the_commonest_the_first() -> None:
    labels = ["cat", "dog", "owl"]
    assert (rarest(labels, [5, 2, 9]), commonest(labels, [5, 2, 9])) == ("dog", "owl")
    assert (rarest(labels, np.array([4, 4, 4])), commonest(labels, np.array([4, 4, 4]))) == ("owl", "cat")


def test_the_positive_of_two_classes_is_the_rarer() -> None:
    assert positive_class("binary", ["cat", "dog"], np.array([2, 9])) == "cat"
    assert positive_class("binary", ["cat", "dog"], np.array([9, 9])) == "dog"
    assert positive_class("multiclass", ["cat", "dog"], np.array([2, 9])) is None


@pytest.mark.parametrize("decisions", [SCENES, PETS, FRUIT], ids=lambda decisions: str(decisions.task))
def test_decisions_read_are_those_written(decisions: Decisions, tmp_path: Path) -> None:
    write(decisions, tmp_path)
    assert read(tmp_path) == decisions
    assert [path.name for path in tmp_path.iterdir()] == ["decisions.json"]


def test_folder_without_decisions_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert str(error.value) == (f"{tmp_path}: no model: decisions.json is not there. Give the folder that train wrote.")


@pytest.mark.parametrize("content", ["{", "{}", "[1]", '{"task": "binary", "threshold": 0.5}'])
def test_file_that_holds_no_decisions_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text(content)
    with pytest.raises(InputError, match=r"decisions\.json: no decisions of a model: "):
        read(tmp_path)
