from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from counterweight.base.errors import InputError
from counterweight.clustering.kmeans import FEW, SILHOUETTE_SAMPLE, by_size, find_clusters
from counterweight.clustering.pca import PART

SIZES = [40, 25, 10]


@pytest.fixture
def three_blobs() -> NDArray[np.float32]:
    """Groups of 10, 40 and 25 images, far apart, in that order, with eight features."""
    rng = np.random.default_rng(0)
    centres = np.repeat([[0.0] * 8, [10.0] * 8, [10.0] * 4 + [0.0] * 4], [10, 40, 25], axis=0)
    return (centres + 0.1 * rng.standard_normal(centres.shape)).astype(np.float32)


def test_separated_blobs_are_found_and_numbered_by_size(three_blobs: NDArray[np.float32]) -> None:
    found = find_clusters(three_blobs, components=2, clusters=3, seed=0)
    assert found.numbers.tolist() == [2] * 10 + [0] * 40 + [1] * 25
    assert found.sizes == SIZES


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_separated_blobs_are_found_for_any_seed(seed: int, three_blobs: NDArray[np.float32]) -> None:
    assert find_clusters(three_blobs, components=2, clusters=3, seed=seed).sizes == SIZES


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_clusters_that_are_not_apart_are_the_same_for_another_seed_and_other_rounding(seed: int) -> None:
    random = np.random.default_rng(0)
    cloud = random.normal(size=(500, 3)).astype(np.float32)
    rounded = cloud + random.normal(0, 1e-4, cloud.shape).astype(np.float32)
    first, other = (find_clusters(rows, components=3, clusters=5, seed=n) for rows, n in ((cloud, 0), (rounded, seed)))
    assert adjusted_rand_score(first.numbers, other.numbers) > 0.99


def test_two_dimensions_hold_nearly_all_of_three_blobs(three_blobs: NDArray[np.float32]) -> None:
    found = find_clusters(three_blobs, components=2, clusters=3, seed=0)
    assert found.explained_variance == pytest.approx(1, abs=0.01)
    assert found.silhouette == pytest.approx(1, abs=0.05)


def test_inertia_and_silhouette_of_four_points_on_a_line() -> None:
    # 0, 2 | 10, 12: each point is 1 from its centre. An outer one is 2 from its own and 11 on average from the other
    # group, which gives 1 - 2/11; an inner one 2 and 9, 1 - 2/9.
    found = find_clusters(np.array([[0], [2], [10], [12]], np.float32), components=1, clusters=2, seed=0)
    assert found.numbers.tolist() == [0, 0, 1, 1]
    assert found.inertia == pytest.approx(4)
    assert found.silhouette == pytest.approx(((1 - 2 / 11) + (1 - 2 / 9)) / 2)
    assert found.explained_variance == pytest.approx(1)


def test_same_outcome_for_one_thread_and_for_two() -> None:
    noise = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    with threadpool_limits(1):
        one = find_clusters(noise, components=20, clusters=5, seed=0)
    with threadpool_limits(2):
        two = find_clusters(noise, components=20, clusters=5, seed=0)
    assert np.array_equal(one.numbers, two.numbers)
    assert (one.explained_variance, one.inertia, one.silhouette) == (
        two.explained_variance,
        two.inertia,
        two.silhouette,
    )


def test_features_given_are_not_changed(three_blobs: NDArray[np.float32]) -> None:
    before = three_blobs.copy()
    find_clusters(three_blobs, components=2, clusters=3, seed=0)
    assert np.array_equal(three_blobs, before)


def test_as_many_clusters_as_images_are_one_each() -> None:
    found = find_clusters(np.array([[0], [1], [5]], np.float32), components=1, clusters=3, seed=0)
    assert (found.sizes, found.inertia, found.silhouette) == ([1, 1, 1], 0, 0)


def test_one_image_apart_from_thousands_is_a_cluster_for_any_seed() -> None:
    features = np.random.default_rng(0).standard_normal((SILHOUETTE_SAMPLE * 2, 2)).astype(np.float32)
    features[7] = 1000
    for seed in range(4):
        assert find_clusters(features, components=2, clusters=2, seed=seed).sizes == [2 * SILHOUETTE_SAMPLE - 1, 1]


def many(n_images: int, centres: int, apart: float) -> NDArray[np.float32]:
    """Images around centres."""
    random = np.random.default_rng(0)
    of = random.integers(0, centres, n_images)
    return (random.normal(0, apart, (centres, 32))[of] + random.normal(0, 1, (n_images, 32))).astype(np.float32)


def test_starts_that_were_tried_on_a_part_of_many_images_lead_to_no_worse_an_inertia() -> None:
    features = many(3 * FEW, centres=5, apart=1)
    found = find_clusters(features, components=10, clusters=5, seed=0)
    reduced = PCA(10, svd_solver="full").fit_transform(features.astype(np.float64))
    assert found.inertia <= KMeans(5, n_init=10, random_state=0).fit(reduced).inertia_ * 1.001


@pytest.mark.parametrize("n_images", [2 * PART + 5, 60])
def test_minibatch_finds_the_clusters_of_kmeans(n_images: int, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", many(n_images, centres=4, apart=3))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    found, exact = (
        find_clusters(mapped, components=10, clusters=4, seed=0, algorithm=algorithm)
        for algorithm in ("minibatch", "kmeans")
    )
    assert found.sizes == exact.sizes
    assert found.numbers.tolist() == exact.numbers.tolist()
    assert found.explained_variance == pytest.approx(exact.explained_variance, rel=0.01)
    assert found.inertia == pytest.approx(exact.inertia, rel=0.05)


def test_fewer_images_than_clusters_is_an_error(three_blobs: NDArray[np.float32]) -> None:
    with pytest.raises(InputError) as error:
        find_clusters(three_blobs[:4], components=2, clusters=5, seed=0)
    assert str(error.value) == "cluster.clusters is 5, and there are 4 train images. Lower it."


@pytest.mark.parametrize(
    ("images", "components", "message"),
    [
        (75, 9, "cluster.components is 9, and 75 train images of 8 features have at most 8. Lower it."),
        (6, 7, "cluster.components is 7, and 6 train images of 8 features have at most 6. Lower it."),
    ],
)
def test_more_components_than_images_or_features_is_an_error(
    images: int, components: int, message: str, three_blobs: NDArray[np.float32]
) -> None:
    with pytest.raises(InputError) as error:
        find_clusters(three_blobs[:images], components=components, clusters=3, seed=0)
    assert str(error.value) == message


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_fewer_different_looks_than_clusters_is_an_error() -> None:
    two_looks = np.array([[0, 0]] * 5 + [[1, 1]] * 5, np.float32)
    with pytest.raises(InputError) as error:
        find_clusters(two_looks, components=1, clusters=3, seed=0)
    assert str(error.value) == "the train images have only 2 different looks, and cluster.clusters is 3. Lower it."


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "ignore:invalid value encountered in divide")
def test_identical_images_are_an_error() -> None:
    with pytest.raises(InputError) as error:
        find_clusters(np.ones((10, 4), np.float32), components=2, clusters=2, seed=0)
    assert str(error.value) == "the train images have only 1 different looks, and cluster.clusters is 2. Lower it."


def test_of_equally_large_clusters_the_one_whose_first_image_comes_first_has_the_lower_number() -> None:
    assert by_size(np.array([7, 3, 3, 7, 5])).tolist() == [0, 1, 1, 0, 2]
