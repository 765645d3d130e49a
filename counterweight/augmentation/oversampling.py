"""Make all copies of a plan in worker processes, and replace those that are unusable."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from counterweight.augmentation import copy_maker
from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import CopyConfig, CopyJob, CopyMaker
from counterweight.augmentation.strategies import Plan
from counterweight.base.limits import check_space
from counterweight.images import codec
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.parallel import parallel_map

# Packages that copies depend on, in addition to `codec.PACKAGES`.
PACKAGES = ("imaug", "scikit-image", "scipy")


@dataclass(frozen=True)
class CopyResult:
    """The copies of a plan, in its order.

    ``unusable`` are the images, sorted, for which a copy had no usable draw within ``max_draws``; ``shortfall`` is the
    number of copies that a group lacks because its images are unusable or have reached the maximum per image.
    """

    copies: list[MadeCopy]
    unusable: list[str]
    shortfall: dict[str, int]


def make_copies(
    plan: Plan,
    sources: Sequence[Source],
    *,
    resized: Path,
    folder: Path,
    config: CopyConfig,
    cache: Cache,
    workers: int,
) -> CopyResult:
    """Make the copies of a plan and write them as files.

    Each copy depends only on its source, its number, its index in the plan and the configuration, so the bytes are the
    same for any number of worker processes. Other images replace those that turn out to be unusable.

    Parameters
    ----------
    plan, sources : Plan, sequence of Source
        The copies to make, and all train images.
    resized, folder : Path
        Folders of the sources and of the copies.
    config, cache, workers
        How copies are made, the copies of earlier runs, and the number of processes.
    """
    source_of = {source.image_id: source for source in sources}
    make = CopyMaker(resized, folder, config, cache)
    code = fingerprint([copy_maker.__name__], (*codec.PACKAGES, *PACKAGES))
    copies: list[MadeCopy] = []
    unusable: set[str] = set()
    counts: Counter[str] = Counter()
    n_planned = 0
    while batch := plan.next_copies(counts, unusable):
        jobs = [
            CopyJob(source, copy.number, index, _key(code, source, copy.number, index, config))
            for index, copy in enumerate(batch, n_planned)
            for source in [source_of[copy.source_id]]
        ]
        n_planned += len(jobs)
        entries = cache.find(job.key for job in jobs)
        # All copies of an image in succession, so that it is decoded once.
        jobs = sorted((replace(job, entry=entries.get(job.key)) for job in jobs), key=lambda job: job.source.path)
        _check_disk_space(jobs, resized, folder)
        made = parallel_map(make, jobs, workers=workers, what="copies", name=lambda job: job.source.path)
        for job, copy_or_none in sorted(zip(jobs, made, strict=True), key=lambda pair: pair[0].plan_index):
            if copy_or_none is None:
                unusable.add(job.source.image_id)
            else:
                copies.append(copy_or_none)
                counts[job.source.image_id] += 1
    return CopyResult(copies, sorted(unusable), plan.shortfall(counts))


def copy_warnings(result: CopyResult, kind: str, max_draws: int) -> list[str]:
    """Describe unusable images, and the groups of a kind (``cluster``, ``class`` or ``label``) that lack copies."""
    return [
        *(
            f"image '{image}' gave no usable copy in {max_draws} draws; other images are copied instead"
            for image in result.unusable
        ),
        *(
            f"{kind} {group} lacks {count} copies: raise augment.copies_per_image, or lower augment.quality"
            for group, count in result.shortfall.items()
        ),
    ]


def _check_disk_space(jobs: Sequence[CopyJob], resized: Path, folder: Path) -> None:
    """Raise if there is no room for the copies that the cache lacks, each about as large as its source."""
    sources = [path for path in {resized / job.source.path for job in jobs} if path.is_file()]
    mean = sum(path.stat().st_size for path in sources) / max(len(sources), 1)
    check_space(folder, mean * sum(job.entry is None for job in jobs), f"{len(jobs)} copies")


def _key(code: str, source: Source, number: int, plan_index: int, config: CopyConfig) -> str:
    """The cache key: all that a copy depends on, including its augmenter for ``equal_parts``."""
    turn = plan_index % len(config.pipeline) if config.composition == "equal_parts" else 0
    return cache_key(
        code, source.checksum, asdict(config) | {"image_id": source.image_id, "number": number, "turn": turn}
    )
