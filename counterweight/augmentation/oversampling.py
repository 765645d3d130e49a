"""Make all copies of a plan in worker processes, and replace those that are unusable."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.augmentation import copy_maker
from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import QUALITY_PROBLEMS, CopyConfig, CopyJob, CopyMaker
from counterweight.augmentation.guarded_drawing import HIDDEN_COLUMNS, HIDDEN_LABELS, Guard, draw_guarded
from counterweight.augmentation.strategies import Plan
from counterweight.base.limits import check_space
from counterweight.images import codec
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.parallel import parallel_map

# Packages that copies depend on, in addition to `codec.PACKAGES`.
PACKAGES = ("imaug", "scikit-image", "scipy")

# Why a draw is rejected.
REASONS = (*QUALITY_PROBLEMS.values(), HIDDEN_LABELS)


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
    guard: Guard | None = None,
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
    guard : Guard, optional
        Judges whether copies show their labels; those that do not are drawn again.
    """
    source_of = {source.image_id: source for source in sources}
    code = fingerprint([copy_maker.__name__], (*codec.PACKAGES, *PACKAGES))
    copies: list[MadeCopy] = []
    unusable: set[str] = set()
    counts: Counter[str] = Counter()
    n_planned = 0

    def draw(jobs: Sequence[CopyJob], config: CopyConfig) -> list[MadeCopy | None]:
        depends = asdict(config)
        keys = [_key(code, job, depends) for job in jobs]
        entries = cache.find(keys)
        jobs = [replace(job, key=key, entry=entries.get(key)) for job, key in zip(jobs, keys, strict=True)]
        _check_disk_space(jobs, resized, folder)
        # All copies of an image in succession, so that it is decoded once.
        order = sorted(range(len(jobs)), key=lambda i: jobs[i].source.path)
        make, in_order = CopyMaker(resized, folder, config, cache), [jobs[i] for i in order]
        made = parallel_map(make, in_order, workers=workers, what="copies", name=lambda job: job.source.path)
        return [copy for _, copy in sorted(zip(order, made, strict=True), key=lambda pair: pair[0])]

    while batch := plan.next_copies(counts, unusable):
        jobs = [CopyJob(source_of[copy.source_id], copy.number, n_planned + i) for i, copy in enumerate(batch)]
        n_planned += len(jobs)
        made = draw(jobs, config) if guard is None else draw_guarded(draw, jobs, config, guard, folder)
        for job, copy_or_none in zip(jobs, made, strict=True):
            if copy_or_none is None:
                unusable.add(job.source.image_id)
            else:
                copies.append(copy_or_none)
                counts[job.source.image_id] += 1
    return CopyResult(copies, sorted(unusable), plan.shortfall(counts))


def hidden_labels(guard: Guard | None, copies: Sequence[MadeCopy]) -> pd.DataFrame:
    """List the labels that copied images themselves do not show, so that copies cannot be judged by them."""
    image_ids = sorted({copy.source.image_id for copy in copies})
    return pd.DataFrame(columns=list(HIDDEN_COLUMNS)) if guard is None else guard.hidden_labels(image_ids)


def copy_counts(result: CopyResult) -> dict[str, Any]:
    """Count copies, rejected draws by reason, and what became of them."""
    rejections = Counter(reason for copy in result.copies for reason in copy.rejections)
    return {
        "copies": len(result.copies),
        "redrawn": sum(bool(copy.rejections) for copy in result.copies),
        "rejected_draws": {reason: rejections[reason] for reason in REASONS},
        "by_fallback": sum(copy.by_fallback for copy in result.copies),
        "hide_labels": sum(copy.hides_labels for copy in result.copies),
        "unfit_images": len(result.unusable),
    }


def copy_warnings(result: CopyResult, kind: str, max_draws: int) -> list[str]:
    """Describe unusable images, and the groups of a kind (``cluster``, ``class`` or ``label``) that lack copies."""
    n_hiding = sum(copy.hides_labels for copy in result.copies)
    hiding = (
        f"{n_hiding} of {len(result.copies)} copies hide a label in every draw; the best draw of each is kept. "
        "Choose a gentler augment.pipeline, or set augment.guard.fallback to plain"
    )
    return [
        *([hiding] if n_hiding else []),
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


def _key(code: str, job: CopyJob, config: Mapping[str, Any]) -> str:
    """The cache key: all that a copy depends on, including its augmenter for ``equal_parts``."""
    turn = job.plan_index % max(len(config["pipeline"]), 1) if config["composition"] == "equal_parts" else 0
    of_job = {"image_id": job.source.image_id, "number": job.number, "after": job.after, "turn": turn}
    return cache_key(code, job.source.checksum, {**config, **of_job})
