"""A sample of the copies that strategies would make, which represents them in the probe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.augmentation.guarded_drawing import Guard
from counterweight.augmentation.oversampling import make_copies
from counterweight.augmentation.strategies import Plan
from counterweight.evidence.cross_validation import CopyFeatures
from counterweight.evidence.fold_metrics import ALONE
from counterweight.evidence.linear_probe import Features, standardize
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, resize
from counterweight.networks.loader import ImageFiles
from counterweight.runtime.cache import Cache

# Images whose copies are shown, and the size at which they are.
_SHOWN, _SMALL = 3, TargetSize(96, 96, "stretch")


@dataclass(frozen=True)
class SampleConfig:
    """Size and seed of the sample.

    Attributes
    ----------
    max_copied, copies_per_image : int
        At most so many images per strategy, and copies of each.
    images_per_augmenter : int
        At most so many images per strategy, each copied once by each augmenter alone.
    seed : int
        Seed of the choice.
    """

    max_copied: int
    copies_per_image: int
    images_per_augmenter: int
    seed: int

    @classmethod
    def from_params(cls, probe: Mapping[str, Any]) -> Self:
        """Read the section ``probe`` of params.yaml."""
        return cls(**{field.name: probe[field.name] for field in fields(cls)})


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
        self,
        plan: Plan,
        sources: Sequence[Source],
        configs: Mapping[str, CopyConfig],
        guard: Guard | None = None,
        on_made: Callable[[str, Path, Sequence[MadeCopy]], None] | None = None,
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
        guard : Guard, optional
            See `counterweight.augmentation.oversampling.make_copies`.
        on_made : callable, optional
            Called with the name of each pipeline, and with the folder and the copies that it made.
        """
        row_of = {source.image_id: row for row, source in enumerate(sources)}
        made: dict[str, list[MadeCopy]] = {}
        paths: list[Path] = []
        for number, (name, config) in enumerate(configs.items()):
            folder = self.scratch / str(number)  # A pipeline's name is the user's, and may hold a slash.
            made[name] = make_copies(
                plan, sources, resized=self.resized, folder=folder, config=config, cache=self.cache,
                workers=self.workers, guard=guard,
            ).copies  # fmt: skip
            paths += [folder / copy.path for copy in made[name]]
            if on_made is not None:
                on_made(name, folder, made[name])
        # All at once: processes that decode are started once.
        files = ImageFiles(paths, [copy.checksum for copies in made.values() for copy in copies])
        rows = np.array([row_of[copy.source.image_id] for copies in made.values() for copy in copies], dtype=np.intp)
        ends = np.cumsum([len(copies) for copies in made.values()])[:-1]
        parts = zip(np.split(standardize(self.extract(files), self.reference), ends), np.split(rows, ends), strict=True)
        return {name: CopyFeatures(*part) for name, part in zip(made, parts, strict=True)}


def extract_sample(
    extract: CopyExtractor,
    sources: Sequence[Source],
    wanted: Mapping[str, NDArray[np.int64]],
    configs: Mapping[str, CopyConfig],
    sample: SampleConfig,
    guard: Guard | None,
    pictures: Path,
) -> dict[str, CopyFeatures]:
    """Return the features of copies by each pipeline, with and without a guard, and by each of its augmenters alone.

    Parameters
    ----------
    extract, sources, configs
        See `CopyExtractor`.
    wanted : mapping of str to array of int, shape (n_images,)
        Copies of each image, by strategy.
    sample : SampleConfig
        How many copies stand for them.
    guard : Guard or None
        See `counterweight.augmentation.oversampling.make_copies`.
    pictures : Path
        Folder for strips of copies of the same few images, not guarded: ``0.jpg`` for the first row of
        `counterweight.evidence.fold_metrics.affinity_table`, and so on; none where nothing is copied.

    Returns
    -------
    dict of str to CopyFeatures
        Guarded, by the name of the pipeline; not guarded, by its name and a line break, followed by the number and name
        of an augmenter for it alone.
    """
    ids = [source.image_id for source in sources]
    alone = {
        f"{name}{ALONE}{number}. {' and '.join(step)}": replace(config, pipeline=[step])
        for name, config in configs.items()
        for number, step in enumerate(config.pipeline, 1)
    }
    plans = (
        plan_copies(ids, wanted, size, copies, sample.seed)
        for size, copies in ((sample.max_copied, sample.copies_per_image), (sample.images_per_augmenter, 1))
    )
    of_all, of_one = plans
    rows = [*(f"{name}{ALONE}" for name in configs), *alone]
    shown = [copy.source_id for copy in of_one.next_copies({}, set())][:_SHOWN]

    def write_strip(name: str, folder: Path, copies: Sequence[MadeCopy]) -> None:
        row = rows.index(name if name in alone else f"{name}{ALONE}")
        first = {copy.source.image_id: folder / copy.path for copy in reversed(copies)}
        strip = [resize(codec.read(first[image]), _SMALL) for image in shown if image in first]
        if strip:
            codec.write(np.hstack(strip), pictures / f"{row}.jpg", "jpg")

    unguarded = extract(of_all, sources, configs, None, write_strip)
    guarded = unguarded if guard is None else extract(of_all, sources, configs, guard)
    of_augmenters = extract(of_one, sources, alone, None, write_strip)
    return guarded | {f"{name}{ALONE}": copies for name, copies in unguarded.items()} | of_augmenters
