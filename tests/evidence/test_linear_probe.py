from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from counterweight.evidence import linear_probe
from counterweight.evidence.linear_probe import cell_weights, fit_linear_probe, log_loss, principal_axes, standardize


@pytest.fixture
def features() -> np.ndarray:
    """200 images with five features."""
    return np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)


def test_each_label_gets_the_coefficients_of_scikit_learn(features: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=(200, 2))
    targets = (features[:, :2] + noise > 0.5).astype(int)
    probe = fit_linear_probe(features, targets, np.ones((200, 2)), penalty=0.01, is_single_label=False)
    for column in range(2):
        model = LogisticRegression(C=1 / (0.01 * 200), tol=1e-8).fit(features, targets[:, column])
        np.testing.assert_allclose(probe.scores(features)[:, column], model.predict_proba(features)[:, 1], atol=2e-3)


def test_classes_get_the_scores_of_scikit_learn(features: np.ndarray) -> None:
    classes = (features[:, :3] + np.random.default_rng(1).normal(size=(200, 3))).argmax(axis=1)
    probe = fit_linear_probe(
        features, np.eye(3, dtype=int)[classes], np.ones((200, 3)), penalty=0.01, is_single_label=True
    )
    model = LogisticRegression(C=1 / (0.01 * 200), tol=1e-8).fit(features, classes)
    np.testing.assert_allclose(probe.scores(features), model.predict_proba(features), atol=2e-3)


def test_a_weight_of_two_is_an_image_twice(features: np.ndarray) -> None:
    targets = (features[:, :1] > 0).astype(int)
    twice = np.arange(200) < 20
    weighted = fit_linear_probe(features, targets, 1.0 + twice[:, None], penalty=0.1, is_single_label=False)
    repeated = np.concatenate([np.arange(200), np.arange(20)])
    copied = fit_linear_probe(
        features[repeated], targets[repeated], np.ones((220, 1)), penalty=0.1, is_single_label=False
    )
    np.testing.assert_allclose(weighted.coefficients, copied.coefficients, atol=2e-3)


def test_unknown_cells_change_nothing(features: np.ndarray) -> None:
    targets = (features[:, :2] > 0).astype(int)
    known = np.ones((200, 2))
    known[:50, 0] = 0
    with_unknown = np.where(known == 1, targets, -1)
    probe = fit_linear_probe(features, with_unknown, known, penalty=0.1, is_single_label=False)
    alone = fit_linear_probe(features[50:], targets[50:, :1], np.ones((150, 1)), penalty=0.1, is_single_label=False)
    np.testing.assert_allclose(probe.coefficients[:, :1], alone.coefficients, atol=2e-3)


def test_a_start_changes_no_solution(features: np.ndarray) -> None:
    targets = (features[:, :1] > 0).astype(int)
    cold = fit_linear_probe(features, targets, np.ones((200, 1)), penalty=0.1, is_single_label=False)
    far = fit_linear_probe(features, targets, np.ones((200, 1)), penalty=10.0, is_single_label=False)
    warm = fit_linear_probe(features, targets, np.ones((200, 1)), penalty=0.1, is_single_label=False, start=far)
    np.testing.assert_allclose(warm.coefficients, cold.coefficients, atol=2e-3)


def test_a_label_that_no_image_has_gets_low_scores_and_disturbs_no_other(features: np.ndarray) -> None:
    targets = np.column_stack([features[:, 0] > 0, np.zeros(200)]).astype(int)
    scores = fit_linear_probe(features, targets, np.ones((200, 2)), penalty=0.1, is_single_label=False).scores(features)
    assert scores[:, 1].max() < 0.05
    assert ((scores[:, 0] > 0.5) == (targets[:, 0] == 1)).mean() > 0.95


def test_log_loss_is_the_mean_over_the_known_cells_of_each_label() -> None:
    scores = np.array([[0.5, 0.9, 0.7], [0.25, 0.2, 0.7]])
    targets = np.array([[1, 1, -1], [-1, 0, -1]])
    np.testing.assert_allclose(log_loss(scores, targets), [-np.log(0.5), (-np.log(0.9) - np.log(0.8)) / 2, 0])


def test_each_label_can_have_a_penalty_of_its_own(features: np.ndarray) -> None:
    targets = np.column_stack([features[:, 0] > 0, features[:, 1] > 0]).astype(int)
    weak, strong, both = (
        fit_linear_probe(features, targets, np.ones((200, 2)), penalty=penalty, is_single_label=False).coefficients
        for penalty in (0.01, 1.0, np.array([0.01, 1.0]))
    )
    np.testing.assert_allclose(both, np.column_stack([weak[:, 0], strong[:, 1]]), atol=0.02)


def test_features_are_scaled_like_the_reference_and_constant_ones_vanish() -> None:
    reference = np.array([[0, 5], [2, 5]], dtype=np.float32)
    np.testing.assert_array_equal(standardize(np.array([[3, 9]], dtype=np.float32), reference), [[2, 0]])


def test_features_along_their_principal_axes_do_not_correlate() -> None:
    rng = np.random.default_rng(0)
    mixed = (rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))).astype(np.float32)
    axes = principal_axes(mixed)
    products = (mixed @ axes).T @ (mixed @ axes)
    np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=0.01)
    np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-5)


def test_a_fit_along_the_principal_axes_is_that_of_the_features_once_it_is_unrotated(features: np.ndarray) -> None:
    targets, weights, axes = (features[:, :2] > 0.3).astype(int), np.ones((200, 2)), principal_axes(features)
    plain = fit_linear_probe(features, targets, weights, penalty=0.1, is_single_label=False)
    rotated = fit_linear_probe(features @ axes, targets, weights, penalty=0.1, is_single_label=False)
    np.testing.assert_allclose(rotated.unrotated(axes).coefficients, plain.coefficients, atol=2e-3)
    np.testing.assert_allclose(rotated.unrotated(axes).scores(features), rotated.scores(features @ axes), atol=1e-5)


def test_a_fit_along_the_principal_axes_takes_a_third_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, minimize, steps = np.random.default_rng(0), linear_probe.minimize, []

    def counted(*arguments: Any, **options: Any) -> Any:
        result = minimize(*arguments, **options)
        steps.append(result.nfev)
        return result

    monkeypatch.setattr(linear_probe, "minimize", counted)
    mixed = rng.normal(size=(500, 20)) * np.arange(1, 21) ** -1.5 @ rng.normal(size=(20, 20))
    features = standardize(mixed.astype(np.float32), mixed.astype(np.float32))
    targets = (features[:, :3] + rng.normal(size=(500, 3)) > [0.5, 1.5, 2.0]).astype(int)
    for rows in (features, features @ principal_axes(features)):
        fit_linear_probe(rows, targets, np.ones((500, 3)), penalty=0.003, is_single_label=False)
    assert steps[1] < steps[0] / 3


def test_an_unknown_cell_weighs_nothing_and_balanced_values_weigh_the_same() -> None:
    targets = np.array([[1, -1], [0, 1], [0, 0], [0, 1]])
    plain = cell_weights(targets, np.array([1.0, 1, 1, 2]), balanced=False, is_single_label=False)
    assert plain.tolist() == [[1, 0], [1, 1], [1, 1], [2, 2]]
    balanced = cell_weights(targets, np.ones(4), balanced=True, is_single_label=False)
    assert balanced.tolist() == [[2, 0], [2 / 3, 0.75], [2 / 3, 1.5], [2 / 3, 0.75]]


def test_balanced_classes_weigh_the_same() -> None:
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    balanced = cell_weights(targets, np.ones(4), balanced=True, is_single_label=True)
    assert balanced[:, 0].tolist() == pytest.approx([4 / 6, 4 / 6, 4 / 6, 2])
    assert balanced[:, 1].tolist() == pytest.approx([4 / 6, 4 / 6, 4 / 6, 2])
