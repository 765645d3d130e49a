"""Draw copies again that no longer show the labels that they inherit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.augmentation.allocation import MadeCopy
from counterweight.augmentation.copy_maker import CopyConfig, CopyJob

# Why a draw is rejected here, beside the reasons of `counterweight.augmentation.copy_maker.QUALITY_PROBLEMS`.
HIDDEN_LABELS = "labels"
# Columns of the table of labels that images themselves do not show, and the probe's score.
HIDDEN_COLUMNS = ("image_id", "label", "score")

Draw = Callable[[Sequence[CopyJob], CopyConfig], list[MadeCopy | None]]


class Guard(Protocol):
    """Tells whether copies show the labels that they inherit; see `counterweight.evidence.label_guard.LabelGuard`."""

    @property
    def max_draws(self) -> int:
        """Attempts per copy by the pipeline, and as many by the fallback."""

    @property
    def fallback(self) -> CopyConfig | None:
        """How a copy is made if no draw of the pipeline shows the labels."""

    def __call__(self, copies: Sequence[MadeCopy], folder: Path) -> NDArray[np.float64]:
        """Return for each copy in a folder at least 1 if it shows its labels, and the more, the better it does."""

    def hidden_labels(self, image_ids: Sequence[str]) -> pd.DataFrame:
        """List labels that images themselves do not show, in the columns `HIDDEN_COLUMNS`."""


def draw_guarded(
    draw: Draw, jobs: Sequence[CopyJob], config: CopyConfig, guard: Guard, folder: Path
) -> list[MadeCopy | None]:
    """Make copies, and draw those again that do not show their labels.

    If no draw of the pipeline shows them, the fallback's are tried; if none of those does, the best of all is taken.
    Each round judges all copies at once, so that features are extracted in batches.

    Parameters
    ----------
    draw : callable
        Makes one copy per job as a configuration says; None where no draw is usable.
    jobs : sequence of CopyJob
        The copies to make.
    config : CopyConfig
        How they are made.
    guard : Guard
        Judges them.
    folder : Path
        Where ``draw`` writes the copies.

    Returns
    -------
    list of MadeCopy or None
        One per job. ``rejections`` has the reasons of all rounds, `HIDDEN_LABELS` for those of the guard.
    """
    attempts = [_Attempts(job) for job in jobs]
    _try(draw, attempts, config, guard, folder)
    hiding = [each for each in attempts if each.best is not None and each.shown < 1]
    fallback = guard.fallback if guard.fallback != config else None  # It would only repeat the same draws.
    if fallback is not None:
        _try(draw, hiding, fallback, guard, folder)
    for tried in (config, fallback):
        overwritten = [each for each in hiding if each.latest is not each.best and each.best_config is tried]
        if tried is not None and overwritten:
            for each, best in zip(overwritten, draw([each.best_job for each in overwritten], tried), strict=True):
                each.best = best
    return [each.result(is_fallback=each.best_config is fallback) for each in attempts]


class _Attempts:
    """The attempts at one copy: the latest, and the best with what made it."""

    def __init__(self, job: CopyJob) -> None:
        self.job = self.best_job = job
        self.latest: MadeCopy | None = None
        self.best: MadeCopy | None = None
        self.best_config: CopyConfig | None = None
        self.shown = -np.inf
        self.rejections: tuple[str, ...] = ()

    def add(self, copy: MadeCopy, job: CopyJob, config: CopyConfig, shown: float) -> None:
        self.latest = copy
        self.rejections += copy.rejections + (HIDDEN_LABELS,) * (shown < 1)
        if shown > self.shown:
            self.best, self.best_job, self.best_config, self.shown = copy, job, config, shown

    def result(self, *, is_fallback: bool) -> MadeCopy | None:
        if self.best is None:
            return None
        return replace(self.best, rejections=self.rejections, shown=self.shown, by_fallback=is_fallback)


def _try(draw: Draw, attempts: Sequence[_Attempts], config: CopyConfig, guard: Guard, folder: Path) -> None:
    waiting = [(each, each.job) for each in attempts]
    # All plain copies of an image are the same.
    for _ in range(1 if config.copy_mode == "plain" else guard.max_draws):
        drawn = draw([job for _, job in waiting], config) if waiting else []
        usable = [(each, job, copy) for (each, job), copy in zip(waiting, drawn, strict=True) if copy is not None]
        judged = guard([copy for _, _, copy in usable], folder) if usable else np.empty(0)
        waiting = []
        for (each, job, copy), shown in zip(usable, judged.tolist(), strict=True):
            used = replace(job, after=job.after + len(copy.rejections))
            each.add(copy, used, config, shown)
            if shown < 1:
                waiting.append((each, replace(used, after=used.after + 1)))
