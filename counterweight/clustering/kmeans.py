"""Cluster images by their features: PCA, k-means and silhouette."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA
from sklearn.metrics import silhouette_score
from sklearn.utils import gen_batches
from threadpoolctl import threadpool_limits

from counterweight.base.errors import InputError
from counterweight.clustering.pca import BATCH_SIZE, fit_pca

# The silhouette compares every image with every other; on a sample of this size it takes seconds.
SILHOUETTE_SAMPLE = 5_000
# Images on which other numbers of clusters are tried.
SWEEP_SAMPLE = 2_000
# With fewer starts, another seed or a rounding error moves about 5 % of the images where clusters overlap.
FULL_STARTS = 100
# For more images than this, k-means starts on a subsample, SUBSAMPLE_STARTS times for each of SUBSAMPLE_SEEDS seeds
# (one call per seed: with one call per start, threads wait for the GIL), and the REFINED best different results are
# refined on all images. The mean inertia over several seeds is no higher than that of ten starts on all images.
FULL_START_LIMIT = 10_000
SUBSAMPLE = 5_000
SUBSAMPLE_STARTS = 5
SUBSAMPLE_SEEDS = 8
REFINED = 4


@dataclass(frozen=True)
class Clusters:
    """Result of `fit_clusters`.

    Attributes
    ----------
    assignments : array of int64, shape (n_images,)
        Cluster of each image; 0 is the largest.
    sizes : list of int
        Images in each cluster, descending.
    explained_variance : float
        Fraction of the features' variance that the principal components keep; NaN if all images are identical.
    inertia : float
        Sum of the squares of ``distances``.
    silhouette : float
        Mean silhouette, from -1 to 1, of at most `SILHOUETTE_SAMPLE` images; 0 if undefined.
    plane : array of float, shape (n_images, 2)
        First two principal components of each image; the second is 0 if there is only one.
    distances : array of float64, shape (n_images,)
        Distance of each image from its cluster's center, the mean of its images, in principal components.
    sweep : list of (int, float, float)
        Other numbers of clusters, each with its inertia and silhouette, on at most `SWEEP_SAMPLE` images.
    """

    assignments: NDArray[np.int64]
    sizes: list[int]
    explained_variance: float
    inertia: float
    silhouette: float
    plane: NDArray[np.floating]
    distances: NDArray[np.floating]
    sweep: list[tuple[int, float, float]]


def fit_clusters(
    features: NDArray[np.float32],
    *,
    n_components: int,
    n_clusters: int,
    seed: int,
    algorithm: str = "kmeans",
    sweep: Sequence[int] = (),
) -> Clusters:
    """Reduce features by PCA and cluster them by k-means.

    Parameters
    ----------
    features : array of float32, shape (n_images, n_features)
        Features of the train images, possibly memory-mapped.
    n_components : int
        Principal components to keep.
    n_clusters : int
        Number of clusters, from the best of `FULL_STARTS` starts. Above `FULL_START_LIMIT` images, starts are tried on
        a subsample and the best are refined on all images.
    seed : int
        Seed of k-means and of the samples.
    algorithm : str
        ``kmeans``, or ``minibatch``: approximate PCA and k-means on batches of images, for features that do not fit in
        memory.
    sweep : sequence of int
        Other numbers of clusters to try on a sample.

    Raises
    ------
    InputError
        If there are fewer images than clusters or components, fewer features than components, or fewer different
        images than clusters.
    """
    n_images, n_features = features.shape
    if n_images < n_clusters:
        raise InputError(f"cluster.n_clusters is {n_clusters}, and there are {n_images} train images. Lower it.")
    if n_components > min(n_images, n_features):
        raise InputError(
            f"cluster.n_components is {n_components}, and {n_images} train images of {n_features} features have at "
            f"most {min(n_images, n_features)}. Lower it."
        )
    # Several threads add partial sums in varying order, which changes the last digits.
    with threadpool_limits(1):
        if algorithm == "minibatch":
            reduced, explained_variance = _incremental_pca(features, n_components)
            model = MiniBatchKMeans(n_clusters, n_init=10, batch_size=BATCH_SIZE, random_state=seed).fit(reduced)
        else:
            reduced, explained_variance = _pca(features, n_components)
            model = _fit_kmeans(reduced, n_clusters, seed)
        assignments = relabel_by_size(model.labels_)
        sizes = np.bincount(assignments).tolist()
        if len(sizes) < n_clusters:
            raise InputError(
                f"the train images have only {len(sizes)} different looks, and cluster.n_clusters is {n_clusters}. "
                "Lower it."
            )
        # silhouette_score raises if its own sample misses all but one cluster, so the sample is drawn here.
        sample = np.random.default_rng(seed).permutation(n_images)[:SILHOUETTE_SAMPLE]
        defined = 1 < len(np.unique(assignments[sample])) < len(sample)
        silhouette = _silhouette(reduced[sample], assignments[sample]) if defined else 0.0
        distances = _distances(reduced, assignments)
        tried = _sweep(reduced[np.sort(sample[:SWEEP_SAMPLE])], sweep, seed)
    return Clusters(
        assignments=assignments,
        sizes=sizes,
        explained_variance=explained_variance,
        inertia=float(np.square(distances).sum()),
        silhouette=silhouette,
        plane=np.pad(reduced[:, :2], [(0, 0), (0, max(2 - n_components, 0))]),
        distances=distances,
        sweep=tried,
    )


@np.errstate(invalid="ignore")  # The explained variance of identical images is 0 / 0.
def _pca(features: NDArray[np.float32], n_components: int) -> tuple[NDArray[np.float32], float]:
    pca = fit_pca(features)
    share = pca.scatter[:n_components].sum() / pca.scatter.sum()
    return pca.project(features, pca.axes[:, :n_components]), float(share)


@np.errstate(invalid="ignore")
def _incremental_pca(features: NDArray[np.float32], n_components: int) -> tuple[NDArray[np.float32], float]:
    pca = IncrementalPCA(n_components)
    # A batch must have at least n_components images, so the last one takes in a rest that is not longer.
    batches = list(gen_batches(len(features), max(BATCH_SIZE, n_components), min_batch_size=n_components + 1))
    for batch in batches:
        pca.partial_fit(features[batch])
    # Filled, not put together from parts, which would take twice the memory.
    reduced = np.empty((len(features), n_components), np.float32)
    for batch in batches:
        reduced[batch] = pca.transform(features[batch])
    return reduced, float(pca.explained_variance_ratio_.sum())


def _fit_kmeans(reduced: NDArray[np.floating], n_clusters: int, seed: int) -> KMeans:
    """Fit k-means from the best of several starts; for many images, try the starts on a subsample."""
    if len(reduced) <= FULL_START_LIMIT:
        return KMeans(n_clusters, n_init=FULL_STARTS, random_state=seed).fit(reduced)
    random = np.random.default_rng(seed)
    # Cast once: k-means++ would cast float32 to float64 for each distance.
    subsample = reduced[np.sort(random.choice(len(reduced), SUBSAMPLE, replace=False))].astype(np.float64)

    def start(seed: int) -> KMeans:
        return KMeans(n_clusters, n_init=SUBSAMPLE_STARTS, random_state=seed).fit(subsample)

    def refine(model: KMeans) -> KMeans:
        return KMeans(n_clusters, init=model.cluster_centers_.astype(np.float32), n_init=1).fit(reduced)

    # The caller's limit does not hold in other threads.
    with ThreadPoolExecutor(os.cpu_count(), initializer=threadpool_limits, initargs=(1,)) as threads:
        different: list[KMeans] = []
        for model in sorted(threads.map(start, range(seed, seed + SUBSAMPLE_SEEDS)), key=lambda model: model.inertia_):
            if not different or model.inertia_ > different[-1].inertia_ * 1.0001:
                different.append(model)
        return min(threads.map(refine, different[:REFINED]), key=lambda model: model.inertia_)


def _sweep(sample: NDArray[np.floating], counts: Sequence[int], seed: int) -> list[tuple[int, float, float]]:
    """Return each number of clusters below the number of different images, with its inertia and silhouette."""
    n_different = len(np.unique(sample, axis=0))
    results = []
    for count in sorted(count for count in set(counts) if count < n_different):
        model = KMeans(count, n_init=5, random_state=seed).fit(sample)
        inertia = float(np.square(_distances(sample, model.labels_)).sum())
        results.append((count, inertia, _silhouette(sample, model.labels_)))
    return results


def _distances(reduced: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the distance of each image from the mean of its cluster, in float64, so that processors agree on it."""
    sizes = np.bincount(labels)
    centers = np.column_stack([np.bincount(labels, weights=column) / sizes for column in reduced.T])
    distances: NDArray[np.float64] = np.concatenate(
        [
            np.linalg.norm(reduced[batch] - centers[labels[batch]], axis=1)
            for batch in gen_batches(len(reduced), BATCH_SIZE)
        ]
    )
    return distances


def _silhouette(reduced: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    return float(silhouette_score(reduced.astype(np.float64), labels))


def relabel_by_size(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Renumber the clusters of images by size, the largest 0; among equals, the one whose first image comes first.

    Examples
    --------
    >>> relabel_by_size(np.array([2, 0, 0, 1, 1, 1]))
    array([2, 1, 1, 0, 0, 0])
    """
    _, first, cluster, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank: NDArray[np.int64] = np.lexsort((first, -sizes)).argsort()
    return rank[cluster]
