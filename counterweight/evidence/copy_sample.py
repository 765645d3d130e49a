"""A sample of the copies that strategies would make, which represents them in the probe, and its features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterweight.augmentation.allocation import Source
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.augmentation.oversampling import make_copies
from counterweight.augmentation.strategies import Plan
from counterweight.evidence.cross_validation import CopyFeatures
from counterweight.evidence.linear_probe import Features, standardize
from counterweight.networks.loader import ImageFiles
from counterweight.runtime.cache import Cache


def sample_sources(wanted: NDArray[np.int64], size: int, seed: int) -> NDArray[np.intp]:
    """Choose images to copy among those that a strategy wants to copy.

    Strategies that want the same images get the same ones, so that their copies are made once.

    Parameters
    ----------
    wanted : array of int, shape (n_images,)
        Copies of each image that the strategy would make.
    size : int
        Maximum number of images.
    seed : int
        Seed of the choice.

    Returns
    -------
    array of int
        Rows, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(wanted))
    return np.sort(order[wanted[order] > 0][:size])


def plan_copies(
    image_ids: Sequence[str],
    wanted: Mapping[str, NDArray[np.int64]],
    max_sources: int,
    copies_per_image: int,
    seed: int,
) -> Plan:
    """Plan copies that represent those of several strategies. No other image replaces an unusable one.

    Parameters
    ----------
    image_ids : sequence of str
        The train images.
    wanted : mapping of str to array of int, shape (n_images,)
        Copies of each image, by strategy.
    max_sources, copies_per_image : int
        At most so many images per strategy, and copies of each.
    seed : int
        Seed of the choice.

    Examples
    --------
    >>> plan = plan_copies(["a", "b"], {"labels": np.array([0, 7])}, max_sources=9, copies_per_image=2, seed=0)
    >>> [(copy.source_id, copy.number) for copy in plan.next_copies({}, set())]
    [('b', 1), ('b', 2)]
    """
    most: dict[str, int] = {}
    for counts in wanted.values():
        for row in sample_sources(counts, max_sources, seed).tolist():
            image = image_ids[row]
            most[image] = max(most.get(image, 0), min(int(counts[row]), copies_per_image))
    images = sorted(most)
    return Plan({image: [image] for image in images}, {image: 1 + most[image] for image in images}, seed, None)


@dataclass(frozen=True)
class CopyExtractor:
    """Make copies and extract their features.

    Attributes
    ----------
    resized, scratch : Path
        Folders of the images and, for the time being, of the copies.
    extract : callable
        Maps image files to features, float32 of shape (n_files, n_features).
    reference : array of float32, shape (n_images, n_features)
        Features of the images, which the copies' are standardized like.
    cache : Cache
        Copies of earlier runs.
    workers : int
        Number of processes.
    """

    resized: Path
    scratch: Path
    extract: Callable[[ImageFiles], Features]
    reference: Features
    cache: Cache
    workers: int

    def __call__(
        self, plan: Plan, sources: Sequence[Source], configs: Mapping[str, CopyConfig]
    ) -> dict[str, CopyFeatures]:
        """Return the features of copies by each pipeline.

        Parameters
        ----------
        plan : Plan
            The copies.
        sources : sequence of Source
            The images, in the order of ``reference``.
        configs : mapping of str to CopyConfig
            How copies are made, by the name of the pipeline.
        """
        row_of = {source.image_id: row for row, source in enumerate(sources)}
        features = {}
        for number, (name, config) in enumerate(configs.items()):
            folder = self.scratch / str(number)  # A pipeline's name is the user's, and may hold a slash.
            made = make_copies(
                plan, sources, resized=self.resized, folder=folder, config=config, cache=self.cache,
                workers=self.workers,
            ).copies  # fmt: skip
            files = ImageFiles([folder / copy.path for copy in made], [copy.checksum for copy in made])
            rows = np.array([row_of[copy.source.image_id] for copy in made], dtype=np.intp)
            features[name] = CopyFeatures(standardize(self.extract(files), self.reference), rows)
        return features
