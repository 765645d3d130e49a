import numpy as np
import pandas as pd
import pytest

from counterweight.evidence.fold_metrics import METRICS
from counterweight.evidence.recommendation import if_balanced, no_signal, recommend, remedy_table
from counterweight.evidence.remedies import build_remedies

REMEDIES = build_remedies("binary", [])[:3]  # nothing, one tuned threshold, weights


def folds(effects: dict[str, float], noise: float = 0.01, auc: float = 0.9) -> pd.DataFrame:
    """Ten folds in which nothing has macro F1 0.7, and each remedy its effect, with noise of its own."""
    rng = np.random.default_rng(0)
    rows = []
    for name, effect in {"nothing": 0.0, **effects}.items():
        for fold in range(10):
            f1 = 0.7 + effect + (rng.normal(scale=noise) if name != "nothing" else 0)
            kind = "chance" if name == "every label" else "remedy"
            rows.append(
                {"kind": kind, "remedy": name, "repeat": fold // 5, "fold": fold % 5, **dict.fromkeys(METRICS, f1)}
            )
            rows[-1]["macro_auc"] = auc
    return pd.DataFrame(rows)


def table(effects: dict[str, float], **options: float) -> pd.DataFrame:
    return remedy_table(folds(effects, **options), n_folds=5)


def test_a_clear_gain_is_recommended() -> None:
    result = recommend(table({"one tuned threshold": 0.1, "weights": 0.02}), REMEDIES)
    assert (result.remedy, result.best) == ("one tuned threshold", "one tuned threshold")
    assert result.sentence == (
        "Recommended: one tuned threshold, which changes macro F1 by +0.101 (95 % CI +0.090 to +0.111) against no "
        "remedy."
    )


def test_the_simpler_of_two_equal_remedies_is_recommended() -> None:
    result = recommend(table({"one tuned threshold": 0.100, "weights": 0.103}), REMEDIES)
    assert result.remedy == "one tuned threshold"


def test_a_simpler_remedy_that_is_worse_in_every_fold_is_not_recommended_though_the_intervals_overlap() -> None:
    by_fold = folds({"one tuned threshold": 0.10, "weights": 0.13}, noise=0.0)
    luck = np.random.default_rng(1).normal(scale=0.05, size=10)
    own = np.random.default_rng(2).normal(scale=0.001, size=10)
    for name, noise in (("one tuned threshold", luck), ("weights", luck + own)):
        by_fold.loc[by_fold["remedy"] == name, "macro_f1"] += noise
    found = remedy_table(by_fold, n_folds=5)
    simple, best = (found.set_index("remedy").loc[name] for name in ("one tuned threshold", "weights"))
    assert simple["macro_f1_high"] > best["macro_f1_low"]
    assert recommend(found, REMEDIES).remedy == "weights"


def test_a_noisy_remedy_that_does_not_clearly_pay_is_not_recommended() -> None:
    """The threshold is not clearly worse than the best, since it varies so much, but it does not pay either."""
    by_fold = folds({"one tuned threshold": 0.0, "weights": 0.03}, noise=0.0)
    rng = np.random.default_rng(0)
    for name, scale in (("one tuned threshold", 0.12), ("weights", 0.002)):
        by_fold.loc[by_fold["remedy"] == name, "macro_f1"] += rng.normal(scale=scale, size=10)
    found = remedy_table(by_fold, n_folds=5)
    assert found.set_index("remedy").loc["one tuned threshold", "macro_f1_p_best"] > 0.05
    assert recommend(found, REMEDIES).remedy == "weights"


def test_the_difference_from_the_best_has_a_p_value_of_its_own() -> None:
    found = table({"one tuned threshold": 0.1, "weights": 0.02, "every label": -0.3}).set_index("remedy")
    assert found.loc["one tuned threshold", "macro_f1_p_best"] == 1
    assert found.loc["weights", "macro_f1_p_best"] < 0.001
    assert found.loc["nothing", "macro_f1_p_best"] == pytest.approx(found.loc["one tuned threshold", "macro_f1_p"])
    assert np.isnan(found.loc["every label", "macro_f1_p_best"])


def test_where_no_remedy_is_clearly_better_nothing_is_recommended() -> None:
    result = recommend(table({"one tuned threshold": 0.005, "weights": 0.01}, noise=0.05), REMEDIES)
    assert result.remedy == "nothing"
    assert result.sentence.startswith("No remedy clearly pays here: the best, ")


def test_where_every_remedy_does_harm_nothing_is_the_best() -> None:
    result = recommend(table({"one tuned threshold": -0.1, "weights": -0.1}), REMEDIES)
    assert result.sentence == "No remedy clearly pays here: the data are best as they are."


def test_p_values_are_corrected_for_the_number_of_remedies_and_leave_out_chance() -> None:
    alone = table({"weights": 0.02}).set_index("remedy").loc["weights", "macro_f1_p"]
    effects = {"weights": 0.02, "one tuned threshold": 0.0, "every label": -0.3}
    among = table(effects).set_index("remedy").loc["weights", "macro_f1_p"]
    assert among == pytest.approx(2 * alone)


@pytest.mark.parametrize(
    ("chance", "auc", "expected"), [(-0.3, 0.9, None), (-0.01, 0.9, "macro F1"), (-0.3, 0.55, "macro AUC is 0.55")]
)
def test_scores_like_those_of_constant_answers_are_called_chance(
    chance: float, auc: float, expected: str | None
) -> None:
    by_fold = folds({"weights": 0.0, "every label": chance}, noise=0.02, auc=auc)
    sentence = no_signal(remedy_table(by_fold, n_folds=5), by_fold, n_folds=5)
    if expected is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert sentence.startswith("Not clearly better than chance: ")
        assert expected in sentence


def judged_by_two(balanced: dict[str, float]) -> pd.DataFrame:
    """A table in which no remedy changes macro F1, and each changes balanced F1 by its effect."""
    by_fold = folds(dict.fromkeys(balanced, 0.0), noise=0.001)
    effects = {"nothing": 0.0, **balanced}
    return remedy_table(by_fold.assign(balanced_f1=0.5 + by_fold["remedy"].map(effects)), n_folds=5)


def test_what_would_be_recommended_for_equally_common_labels_is_said_if_it_differs() -> None:
    found = judged_by_two({"one tuned threshold": 0.0, "weights": 0.1})
    assert recommend(found, REMEDIES).remedy == "nothing"
    assert recommend(found, REMEDIES, "balanced_f1").sentence == (
        "Recommended: weights, which changes balanced F1 by +0.100 (95 % CI +0.100 to +0.100) against no remedy."
    )
    assert if_balanced(found, REMEDIES, "nothing") == (
        "Where all labels are equally common, unlike here, weights would be recommended: it changes balanced F1 by "
        "+0.100 (95 % CI +0.100 to +0.100). Set probe.metric to balanced_f1 if your images will be so."
    )
    assert if_balanced(found, REMEDIES, "weights") == ""
