import os
import platform
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from counterweight.base.errors import InputError
from counterweight.clustering.kmeans import (
    FULL_START_LIMIT,
    SILHOUETTE_SAMPLE,
    _pca,
    fit_clusters,
    relabel_by_size,
)
from counterweight.clustering.pca import BATCH_SIZE
from tests.workspace import PROJECT

SIZES = [40, 25, 10]


@pytest.fixture
def three_blobs() -> NDArray[np.float32]:
    """Well-separated groups of 10, 40 and 25 images, in that order, with eight features."""
    rng = np.random.default_rng(0)
    centers = np.repeat([[0.0] * 8, [10.0] * 8, [10.0] * 4 + [0.0] * 4], [10, 40, 25], axis=0)
    return (centers + 0.1 * rng.standard_normal(centers.shape)).astype(np.float32)


def gaussian_clusters(n_images: int, centers: int, spread: float) -> NDArray[np.float32]:
    """Draw images around centers that are `spread` standard deviations apart in each of 32 features."""
    random = np.random.default_rng(0)
    labels = random.integers(0, centers, n_images)
    return (random.normal(0, spread, (centers, 32))[labels] + random.normal(0, 1, (n_images, 32))).astype(np.float32)


def test_separated_blobs_are_found_and_numbered_by_size(three_blobs: NDArray[np.float32]) -> None:
    clusters = fit_clusters(three_blobs, n_components=2, n_clusters=3, seed=0)
    assert clusters.assignments.tolist() == [2] * 10 + [0] * 40 + [1] * 25
    assert clusters.sizes == SIZES


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_separated_blobs_are_found_for_any_seed(seed: int, three_blobs: NDArray[np.float32]) -> None:
    assert fit_clusters(three_blobs, n_components=2, n_clusters=3, seed=seed).sizes == SIZES


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_overlapping_clusters_hardly_change_with_the_seed_or_rounding(seed: int) -> None:
    random = np.random.default_rng(0)
    cloud = random.normal(size=(500, 3)).astype(np.float32)
    rounded = cloud + random.normal(0, 1e-4, cloud.shape).astype(np.float32)
    first = fit_clusters(cloud, n_components=3, n_clusters=5, seed=0)
    second = fit_clusters(rounded, n_components=3, n_clusters=5, seed=seed)
    assert adjusted_rand_score(first.assignments, second.assignments) > 0.99


def test_two_dimensions_hold_nearly_all_of_three_blobs(three_blobs: NDArray[np.float32]) -> None:
    clusters = fit_clusters(three_blobs, n_components=2, n_clusters=3, seed=0)
    assert clusters.explained_variance == pytest.approx(1, abs=0.01)
    assert clusters.silhouette == pytest.approx(1, abs=0.05)


def test_inertia_and_silhouette_of_four_points_on_a_line() -> None:
    # 0, 2 | 10, 12: each point is 1 from its center. An outer one is 2 from its own and 11 on average from the other
    # group, which gives 1 - 2/11; an inner one 2 and 9, 1 - 2/9.
    clusters = fit_clusters(np.array([[0], [2], [10], [12]], np.float32), n_components=1, n_clusters=2, seed=0)
    assert clusters.assignments.tolist() == [0, 0, 1, 1]
    assert clusters.inertia == pytest.approx(4)
    assert clusters.silhouette == pytest.approx(((1 - 2 / 11) + (1 - 2 / 9)) / 2)
    assert clusters.explained_variance == pytest.approx(1)


@pytest.mark.parametrize("n_images", [3_000, FULL_START_LIMIT + 1])
@pytest.mark.parametrize("algorithm", ["kmeans", "minibatch"])
def test_result_is_the_same_for_any_number_of_threads(algorithm: str, n_images: int) -> None:
    noise = np.random.default_rng(0).standard_normal((n_images, 64)).astype(np.float32)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            results.append(fit_clusters(noise, n_components=20, n_clusters=5, seed=0, algorithm=algorithm))
    one, two = results
    assert np.array_equal(one.assignments, two.assignments)
    assert np.array_equal(one.plane, two.plane)
    assert np.array_equal(one.distances, two.distances)
    assert one.explained_variance == two.explained_variance
    assert (one.inertia, one.silhouette) == (two.inertia, two.silhouette)


def test_features_are_not_changed(three_blobs: NDArray[np.float32]) -> None:
    before = three_blobs.copy()
    fit_clusters(three_blobs, n_components=2, n_clusters=3, seed=0)
    assert np.array_equal(three_blobs, before)


def test_components_of_features_far_from_zero_are_those_of_a_full_decomposition() -> None:
    random = np.random.default_rng(0)
    features = (100 + random.standard_normal((9_000, 12)) * np.geomspace(1, 0.1, 12)).astype(np.float32)
    clusters, pca = fit_clusters(features, n_components=3, n_clusters=2, seed=0), PCA(3, svd_solver="full")
    expected = pca.fit_transform(features.astype(np.float64))
    np.testing.assert_allclose(np.abs(clusters.plane), np.abs(expected[:, :2]), atol=1e-4)
    assert clusters.explained_variance == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-5)
    assert clusters.plane.dtype == np.float32


def test_largest_loading_of_a_component_is_positive() -> None:
    points = np.array([[0, 0], [1, -3], [2, -6]], np.float32)
    plane = fit_clusters(points, n_components=1, n_clusters=2, seed=0).plane
    assert plane.ravel().tolist() == pytest.approx([10**0.5, 0, 0, 0, -(10**0.5), 0], abs=1e-5)


def test_mapped_features_are_copied_once_and_never_as_float64(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((60_000, 256)).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        _pca(mapped, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * mapped.nbytes


def test_as_many_clusters_as_images_hold_one_each() -> None:
    clusters = fit_clusters(np.array([[0], [1], [5]], np.float32), n_components=1, n_clusters=3, seed=0)
    assert (clusters.sizes, clusters.inertia, clusters.silhouette) == ([1, 1, 1], 0, 0)


def test_an_outlier_among_thousands_is_a_cluster_for_any_seed() -> None:
    features = np.random.default_rng(0).standard_normal((SILHOUETTE_SAMPLE * 2, 2)).astype(np.float32)
    features[7] = 1000
    for seed in range(4):
        assert fit_clusters(features, n_components=2, n_clusters=2, seed=seed).sizes == [2 * SILHOUETTE_SAMPLE - 1, 1]


def test_starts_on_a_subsample_lead_to_no_higher_inertia() -> None:
    features = gaussian_clusters(3 * FULL_START_LIMIT, centers=5, spread=1)
    clusters = fit_clusters(features, n_components=10, n_clusters=5, seed=0)
    reduced = PCA(10, svd_solver="full").fit_transform(features.astype(np.float64))
    assert clusters.inertia <= KMeans(5, n_init=10, random_state=0).fit(reduced).inertia_ * 1.001


@pytest.mark.parametrize("n_images", [2 * BATCH_SIZE + 5, 60])
def test_minibatch_finds_the_clusters_of_kmeans(n_images: int, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", gaussian_clusters(n_images, centers=4, spread=3))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    approximate, exact = (
        fit_clusters(mapped, n_components=10, n_clusters=4, seed=0, algorithm=algorithm)
        for algorithm in ("minibatch", "kmeans")
    )
    assert approximate.sizes == exact.sizes
    assert approximate.assignments.tolist() == exact.assignments.tolist()
    assert approximate.explained_variance == pytest.approx(exact.explained_variance, rel=0.01)
    assert approximate.inertia == pytest.approx(exact.inertia, rel=0.05)


def test_fewer_images_than_clusters_is_an_error(three_blobs: NDArray[np.float32]) -> None:
    with pytest.raises(InputError) as error:
        fit_clusters(three_blobs[:4], n_components=2, n_clusters=5, seed=0)
    assert str(error.value) == "cluster.n_clusters is 5, and there are 4 train images. Lower it."


@pytest.mark.parametrize(
    ("n_images", "n_components", "message"),
    [
        (75, 9, "cluster.n_components is 9, and 75 train images of 8 features have at most 8. Lower it."),
        (6, 7, "cluster.n_components is 7, and 6 train images of 8 features have at most 6. Lower it."),
    ],
)
def test_more_components_than_images_or_features_is_an_error(
    n_images: int, n_components: int, message: str, three_blobs: NDArray[np.float32]
) -> None:
    with pytest.raises(InputError) as error:
        fit_clusters(three_blobs[:n_images], n_components=n_components, n_clusters=3, seed=0)
    assert str(error.value) == message


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_fewer_different_images_than_clusters_is_an_error() -> None:
    two_looks = np.array([[0, 0]] * 5 + [[1, 1]] * 5, np.float32)
    with pytest.raises(InputError) as error:
        fit_clusters(two_looks, n_components=1, n_clusters=3, seed=0)
    assert str(error.value) == "the train images have only 2 different looks, and cluster.n_clusters is 3. Lower it."


@pytest.mark.filterwarnings("error", "ignore:Number of distinct clusters")
@pytest.mark.parametrize("algorithm", ["kmeans", "minibatch"])
def test_identical_images_are_an_error(algorithm: str) -> None:
    features = np.full((10, 4), 0.1, np.float32)
    with pytest.raises(InputError) as error:
        fit_clusters(features, n_components=2, n_clusters=2, seed=0, algorithm=algorithm)
    assert str(error.value) == "the train images have only 1 different looks, and cluster.n_clusters is 2. Lower it."


def test_identical_images_in_one_cluster_have_no_variance_to_explain() -> None:
    clusters = fit_clusters(np.ones((5, 3), np.float32), n_components=2, n_clusters=1, seed=0)
    assert clusters.plane.tolist() == [[0, 0]] * 5
    assert np.isnan(clusters.explained_variance)


def test_among_equally_large_clusters_the_first_image_decides_the_order() -> None:
    assert relabel_by_size(np.array([7, 3, 3, 7, 5])).tolist() == [0, 1, 1, 0, 2]


# Prints what the stage writes, of features whose variances fall as those of networks do.
WRITTEN = """
import hashlib
import numpy as np
from counterweight.clustering.kmeans import fit_clusters

rng = np.random.default_rng(0)
features = (rng.normal(size=(1500, 128)) * np.arange(1, 129) ** -0.7 @ rng.normal(size=(128, 128))).astype(np.float32)
found = fit_clusters(features / features.std(), n_components=20, n_clusters=5, seed=0, sweep=[3, 8])
positions = np.column_stack([found.plane, found.distances]).round(6) + 0.0
print(hashlib.md5(positions.tobytes()).hexdigest(), found.assignments[:20].tolist(), found.sizes)
print(*(round(each, 6) for each in (found.explained_variance, found.inertia, found.silhouette)))
print(np.round(found.sweep, 6).tolist())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels of OpenBLAS are those of x86 processors")
def test_processors_agree_on_every_digit_that_is_written() -> None:
    written = {
        subprocess.run(
            [sys.executable, "-c", WRITTEN], env=os.environ | {"OPENBLAS_CORETYPE": kernels}, cwd=PROJECT,
            capture_output=True, check=True,
        ).stdout
        for kernels in ("Nehalem", "Haswell")
    }  # fmt: skip
    assert len(written) == 1
