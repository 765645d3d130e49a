"""Groups of images that look alike: PCA, k-means, and how well the groups stand apart."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from counterweight.base.errors import InputError
from counterweight.clustering.pca import PART, Reduced, principal_components

# The silhouette compares every image with every other; on so many it takes seconds.
SILHOUETTE_SAMPLE = 5_000
# Images on which other numbers of clusters are tried.
SWEEP_SAMPLE = 2_000
# By fewer, another seed or a rounding error may group one image in twenty anew, where clusters are not apart.
STARTS_OF_FEW = 100
# Of more images than these, a part tells the good starts of k-means from the bad ones. On it, each of some seeds starts
# it some times (in one call: where each start has its own, threads wait for Python's lock), and some of the outcomes
# are finished on all. Inertia is as low as by ten starts on all or lower, on the mean of several seeds.
FEW = 10_000
START_SAMPLE = 5_000
STARTS = 5
SEEDS = 8
FINISHED = 4


@dataclass(frozen=True)
class Clusters:
    """The outcome of `find_clusters`.

    Attributes
    ----------
    numbers : array of int64, shape (n_images,)
        Cluster of each image; 0 is the largest.
    sizes : list of int
        Images in each cluster, descending.
    explained_variance : float
        Fraction of the features' variance that the principal components keep.
    inertia : float
        Sum of squared distances of the images from their cluster's centre, in principal components.
    silhouette : float
        Mean silhouette, from -1 to 1, of at most `SILHOUETTE_SAMPLE` images; 0 where it is not defined.
    plane : array of float, shape (n_images, 2)
        The first two principal components of each image; the second is 0 where there is one alone.
    distances : array of float, shape (n_images,)
        From the centre of its cluster, in principal components.
    sweep : list of (int, float, float)
        Other numbers of clusters, each with its inertia and silhouette, on at most `SWEEP_SAMPLE` images.
    """

    numbers: NDArray[np.int64]
    sizes: list[int]
    explained_variance: float
    inertia: float
    silhouette: float
    plane: NDArray[np.floating]
    distances: NDArray[np.floating]
    sweep: list[tuple[int, float, float]]


def find_clusters(
    features: NDArray[np.float32],
    *,
    components: int,
    clusters: int,
    seed: int,
    algorithm: str = "kmeans",
    sweep: Sequence[int] = (),
) -> Clusters:
    """Reduce features by PCA and group them by k-means.

    Parameters
    ----------
    features : array of float, shape (n_images, n_features)
        Of train images only; it may be mapped from a file.
    components : int
        Principal components to keep.
    clusters : int
        Groups to find; k-means is started `STARTS_OF_FEW` times, and of more than `FEW` images `SEEDS` times `STARTS`
        times on a part of them, and the best outcome kept.
    seed : int
        Of k-means and of the silhouette's sample.
    algorithm : str
        ``kmeans``, or ``minibatch``: PCA and k-means that look at some thousand images at a time, for features that no
        memory holds. Both are approximations.
    sweep : sequence of int
        Other numbers of clusters to try on a part of the images.

    Raises
    ------
    InputError
        If there are fewer images than clusters or components, or fewer features than components.
    """
    n_images, n_features = features.shape
    if n_images < clusters:
        raise InputError(f"cluster.clusters is {clusters}, and there are {n_images} train images. Lower it.")
    if components > min(n_images, n_features):
        raise InputError(
            f"cluster.components is {components}, and {n_images} train images of {n_features} features have at most "
            f"{min(n_images, n_features)}. Lower it."
        )
    # With several threads the partial sums of k-means arrive in another order, and with them the last digits.
    with threadpool_limits(1):
        if algorithm == "minibatch":
            found = _reduced_in_parts(features, components)
            model = MiniBatchKMeans(clusters, n_init=10, batch_size=PART, random_state=seed).fit(found.rows)
        else:
            found = principal_components(features, components)
            model = _grouped(found.rows, clusters, seed)
        reduced = found.rows
        numbers = by_size(model.labels_)
        distinct = len(np.unique(numbers))
        # Drawn here, since silhouette_score's own sample may miss a small cluster and then raises.
        sample = np.random.default_rng(seed).permutation(n_images)[:SILHOUETTE_SAMPLE]
        several = 1 < len(np.unique(numbers[sample])) < len(sample)
        silhouette = silhouette_score(reduced[sample], numbers[sample]) if several else 0.0
        tried = _tried(reduced[np.sort(sample[:SWEEP_SAMPLE])], sweep, seed)
    if distinct < clusters:
        raise InputError(
            f"the train images have only {distinct} different looks, and cluster.clusters is {clusters}. Lower it."
        )
    return Clusters(
        numbers=numbers,
        sizes=[int(size) for size in np.bincount(numbers)],
        explained_variance=found.explained_variance,
        inertia=float(model.inertia_),
        silhouette=float(silhouette),
        plane=np.pad(reduced[:, :2], [(0, 0), (0, max(2 - components, 0))]),
        distances=np.linalg.norm(reduced - model.cluster_centers_[model.labels_], axis=1),
        sweep=tried,
    )


def _tried(part: NDArray[np.floating], counts: Sequence[int], seed: int) -> list[tuple[int, float, float]]:
    """Inertia and silhouette of so many clusters, where there are as many different images and one more."""
    most = len(np.unique(part, axis=0)) - 1
    found = []
    for count in sorted(count for count in set(counts) if count <= most):
        model = KMeans(count, n_init=5, random_state=seed).fit(part)
        found.append((count, float(model.inertia_), float(silhouette_score(part, model.labels_))))
    return found


def _reduced_in_parts(features: NDArray[np.float32], components: int) -> Reduced:
    pca = IncrementalPCA(components)
    # A part with fewer images than components could not be fitted on its own.
    bounds = [*range(0, max(len(features) - components, 1), max(PART, components)), len(features)]
    for start, end in pairwise(bounds):
        pca.partial_fit(features[start:end])
    reduced = np.empty((len(features), components), dtype=np.float32)
    for start, end in pairwise(bounds):
        reduced[start:end] = pca.transform(features[start:end])
    return Reduced(reduced, float(pca.explained_variance_ratio_.sum()))


def _grouped(reduced: NDArray[np.floating], clusters: int, seed: int) -> KMeans:
    """K-means from the best of several starts; of many images, they are tried on a part, the best finished on all."""
    if len(reduced) <= FEW:
        return KMeans(clusters, n_init=STARTS_OF_FEW, random_state=seed).fit(reduced)
    random = np.random.default_rng(seed)
    # In float64, to which k-means++ else takes them again for each distance.
    part = reduced[np.sort(random.choice(len(reduced), START_SAMPLE, replace=False))].astype(np.float64)

    def tried(seed: int) -> KMeans:
        with threadpool_limits(1):  # What was said to the thread that calls holds for that one alone.
            return KMeans(clusters, n_init=STARTS, random_state=seed).fit(part)

    def finished(model: KMeans) -> KMeans:
        with threadpool_limits(1):
            return KMeans(clusters, init=model.cluster_centers_.astype(np.float32), n_init=1).fit(reduced)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        different: list[KMeans] = []
        for model in sorted(threads.map(tried, range(seed, seed + SEEDS)), key=lambda model: model.inertia_):
            if not different or model.inertia_ > different[-1].inertia_ * 1.0001:
                different.append(model)
        return min(threads.map(finished, different[:FINISHED]), key=lambda model: model.inertia_)


def by_size(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """Renumber clusters by size, the largest 0; among equals, the one whose first image comes first.

    Parameters
    ----------
    numbers : array of int, shape (n_images,)
        Any numbering.

    Examples
    --------
    >>> by_size(np.array([2, 0, 0, 1, 1, 1]))
    array([2, 1, 1, 0, 0, 0])
    """
    old, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty(len(old), dtype=np.int64)
    rank[order] = np.arange(len(old))
    return rank[np.searchsorted(old, numbers)]
