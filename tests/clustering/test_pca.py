from concurrent import futures

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from counterweight.clustering import pca
from counterweight.clustering.pca import PART, principal_components


def rows(count: int, width: int) -> NDArray[np.float32]:
    """Rows far from 0, of which some directions vary more than others."""
    random = np.random.default_rng(0)
    return (100 + random.standard_normal((count, width)) * np.geomspace(1, 0.1, width)).astype(np.float32)


def test_two_points_lie_on_one_line() -> None:
    found = principal_components(np.array([[1, 1], [4, 5]], np.float32), 1)
    np.testing.assert_allclose(found.rows, [[-2.5], [2.5]], rtol=1e-6)
    assert found.explained_variance == pytest.approx(1)


@pytest.mark.parametrize("count", [20, PART + 1, 9 * PART + 7])
def test_components_are_those_of_a_full_decomposition(count: int) -> None:
    features = rows(count, 12)
    found, expected = principal_components(features, 3), PCA(3, svd_solver="full")
    full = expected.fit_transform(features.astype(np.float64))
    np.testing.assert_allclose(np.abs(found.rows), np.abs(full), atol=2e-3)
    assert found.explained_variance == pytest.approx(expected.explained_variance_ratio_.sum(), rel=1e-5)


def test_rows_are_the_same_for_one_thread_and_for_several(monkeypatch: pytest.MonkeyPatch) -> None:
    features, found = rows(10 * PART, 16), []
    for threads in (1, 3):
        monkeypatch.setattr(
            pca, "ThreadPoolExecutor", lambda _most, threads=threads: futures.ThreadPoolExecutor(threads)
        )
        with threadpool_limits(1):
            found.append(principal_components(features, 4).rows)
    assert np.array_equal(*found)


def test_largest_part_of_a_direction_is_positive() -> None:
    found = principal_components(np.array([[0, 0], [1, -3], [2, -6]], np.float32), 1)
    np.testing.assert_allclose(found.rows[:, 0], [10**0.5, 0, -(10**0.5)], atol=1e-5)


def test_equal_rows_have_no_variance_to_explain() -> None:
    found = principal_components(np.ones((5, 3), np.float32), 2)
    assert found.rows.tolist() == [[0, 0]] * 5
    assert np.isnan(found.explained_variance)
