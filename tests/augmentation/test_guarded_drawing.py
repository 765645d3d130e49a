"""Copies here are names of draws: the guard is told how well each shows its labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import CopyConfig, CopyJob
from counterweight.augmentation.guarded_drawing import draw_guarded

ARTICLE = CopyConfig("augmented", [{"GaussianBlur": {"sigma": 3.0}}], "compose", 0, "png", 4.0, 0.25, 10)
GENTLE = replace(ARTICLE, pipeline=[{"Fliplr": {"p": 1.0}}])


@dataclass
class Studio:
    """Draws copies, whose checksum says by which pipeline and draw, and judges them by a table."""

    shown: dict[str, float]
    max_draws: int = 3
    fallback: CopyConfig | None = None
    blank: tuple[str, ...] = ()
    judged: list[list[str]] = field(default_factory=list)
    on_disk: dict[str, str] = field(default_factory=dict)

    def draw(self, jobs: Sequence[CopyJob], config: CopyConfig) -> list[MadeCopy | None]:
        return [self._draw(job, "article" if config == ARTICLE else "gentle") for job in jobs]

    def _draw(self, job: CopyJob, pipeline: str) -> MadeCopy | None:
        rejections: tuple[str, ...] = ()
        for draw in range(job.after + 1, job.after + 4):
            name = f"{job.source.image_id} {pipeline} {draw}"
            if name not in self.blank:
                self.on_disk[job.source.path] = name
                return MadeCopy(f"{job.source.image_id}__copy1", job.source.path, job.source, name, rejections)
            rejections += ("uniform",)
        return None

    def __call__(self, copies: Sequence[MadeCopy], folder: Path) -> NDArray[np.float64]:
        self.judged.append([copy.checksum for copy in copies])
        return np.array([self.shown[copy.checksum] for copy in copies])

    def hidden_labels(self, image_ids: Sequence[str]) -> pd.DataFrame:
        raise NotImplementedError

    def copy(self, *names: str) -> list[MadeCopy | None]:
        jobs = [CopyJob(Source(name, f"{name}.png", ""), 1, i) for i, name in enumerate(names)]
        return draw_guarded(self.draw, jobs, ARTICLE, self, Path("copies"))


def only(copies: list[MadeCopy | None]) -> MadeCopy:
    (copy,) = copies
    assert copy is not None
    return copy


def test_a_copy_that_shows_its_labels_is_kept() -> None:
    copy = only(Studio({"a article 1": 1.0}).copy("a"))
    assert (copy.checksum, copy.rejections, copy.by_fallback, copy.shown) == ("a article 1", (), False, 1.0)


def test_a_copy_that_hides_a_label_is_drawn_again() -> None:
    copy = only(Studio({"a article 1": 0.99, "a article 2": 1.2}).copy("a"))
    assert (copy.checksum, copy.rejections, copy.shown) == ("a article 2", ("labels",), 1.2)


def test_rounds_judge_all_copies_at_once_and_draw_only_those_again_that_hide_labels() -> None:
    studio = Studio({"a article 1": 1, "b article 1": 0, "b article 2": 1, "c article 1": 0, "c article 2": 1})
    assert [copy and copy.checksum for copy in studio.copy(*"abc")] == ["a article 1", "b article 2", "c article 2"]
    assert studio.judged == [["a article 1", "b article 1", "c article 1"], ["b article 2", "c article 2"]]


def test_without_a_fallback_the_best_of_all_draws_is_taken() -> None:
    studio = Studio({"a article 1": 0.3, "a article 2": 0.8, "a article 3": 0.5})
    copy = only(studio.copy("a"))
    assert (copy.checksum, copy.rejections) == ("a article 2", ("labels",) * 3)
    assert (copy.by_fallback, copy.shown, copy.hides_labels) == (False, 0.8, True)
    assert studio.on_disk == {"a.png": "a article 2"}


def test_the_fallback_is_tried_after_the_last_draw() -> None:
    shown = {"a article 1": 0.3, "a article 2": 0.8, "a gentle 1": 0.7, "a gentle 2": 1.1}
    copy = only(Studio(shown, max_draws=2, fallback=GENTLE).copy("a"))
    assert (copy.checksum, copy.rejections) == ("a gentle 2", ("labels",) * 3)
    assert (copy.by_fallback, copy.shown, copy.hides_labels) == (True, 1.1, False)


@pytest.mark.parametrize(
    ("shown", "best"),
    [
        ({"a article 1": 0.8, "a article 2": 0.3, "a gentle 1": 0.7, "a gentle 2": 0.1}, "a article 1"),
        ({"a article 1": 0.2, "a article 2": 0.3, "a gentle 1": 0.7, "a gentle 2": 0.1}, "a gentle 1"),
        ({"a article 1": 0.2, "a article 2": 0.3, "a gentle 1": 0.7, "a gentle 2": 0.9}, "a gentle 2"),
    ],
)
def test_where_the_fallback_hides_labels_too_the_best_draw_of_both_is_taken(shown: dict[str, float], best: str) -> None:
    studio = Studio(shown, max_draws=2, fallback=GENTLE)
    copy = only(studio.copy("a"))
    assert (copy.checksum, copy.hides_labels, copy.by_fallback) == (best, True, "gentle" in best)
    assert studio.on_disk == {"a.png": best}


def test_a_fallback_that_is_the_pipeline_is_not_tried_again() -> None:
    studio = Studio({"a article 1": 0.3, "a article 2": 0.8}, max_draws=2, fallback=ARTICLE)
    copy = only(studio.copy("a"))
    assert (copy.checksum, copy.rejections, copy.by_fallback) == ("a article 2", ("labels",) * 2, False)


def test_a_plain_fallback_is_drawn_once() -> None:
    shown = {"a article 1": 0.3, "a article 2": 0.8, "a gentle 1": 0.9}
    studio = Studio(shown, max_draws=2, fallback=replace(GENTLE, copy_mode="plain"))
    assert only(studio.copy("a")).rejections == ("labels",) * 3
    assert len(studio.judged) == 3


def test_draws_of_poor_quality_are_not_judged_and_not_drawn_again() -> None:
    studio = Studio({"a article 2": 0.5, "a article 4": 1.0}, blank=("a article 1", "a article 3"))
    copy = only(studio.copy("a"))
    assert (copy.checksum, copy.rejections) == ("a article 4", ("uniform", "labels", "uniform"))


def test_an_image_without_a_usable_draw_has_no_copy_not_even_by_the_fallback() -> None:
    blank = tuple(f"a article {draw}" for draw in (1, 2, 3))
    assert Studio({}, fallback=GENTLE, blank=blank).copy("a") == [None]


def test_if_later_draws_are_unusable_the_best_of_the_earlier_ones_is_taken() -> None:
    blank = tuple(f"a article {draw}" for draw in (2, 3, 4))
    copy = only(Studio({"a article 1": 0.5}, blank=blank).copy("a"))
    assert (copy.checksum, copy.rejections, copy.hides_labels) == ("a article 1", ("labels",), True)
