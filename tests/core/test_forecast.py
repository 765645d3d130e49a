import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.base import manifest
from stages.base.params import load_params
from stages.core import forecast as module
from stages.core import images
from stages.core.balancing import copies_needed
from stages.core.forecast import Trial, Work, copies_to_make, forecast, most_copies, said
from stages.core.sources import FolderImages, open_images
from tests.core.pictures import RED, of_colour
from tests.workspace import PROJECT

PARAMS = load_params(PROJECT / "params.yaml")
AUGMENT = PARAMS.augment.model_dump()


def train_of(targets: list[list[int]]) -> Any:
    names = [f"{i:03}.png" for i in range(len(targets))]
    return manifest.build(names, names, ["train"] * len(names), ["cat", "dog"], np.array(targets), ["00"] * len(names))


@pytest.mark.parametrize("target", [1.0, 0.5])
@pytest.mark.parametrize("minority", [None, 1, 2])
@pytest.mark.parametrize("cap", [None, 1, 2])
def test_no_sizes_of_clusters_need_more_copies_than_the_bound(
    target: float, minority: int | None, cap: int | None
) -> None:
    most = most_copies(12, 3, target=target, minority=minority, cap=cap)
    for sizes in itertools.product(range(1, 11), repeat=3):
        if sum(sizes) == 12:
            needed = copies_needed(dict(enumerate(sizes)), target=target, minority=minority)
            made = sum(count if cap is None else min(count, cap * sizes[group]) for group, count in needed.items())
            assert made <= most, sizes


def test_without_a_cap_some_sizes_need_as_many_copies_as_the_bound() -> None:
    assert most_copies(12, 3, target=1.0, minority=None, cap=None) == 18
    assert sum(copies_needed({0: 10, 1: 1, 2: 1}).values()) == 18


@pytest.mark.parametrize(
    ("changes", "copies"),
    [
        ({"strategy": "none"}, (0, True)),
        ({"strategy": "classes"}, (2, True)),
        ({"strategy": "labels"}, (2, True)),
        ({"strategy": "classes", "copies_per_image": 1}, (1, True)),
        ({"strategy": "clusters"}, (2, False)),
        ({"strategy": "clusters_labels"}, (2, False)),
    ],
)
def test_copies_are_known_from_labels_and_bounded_for_clusters(
    changes: dict[str, Any], copies: tuple[int, bool]
) -> None:
    train = train_of([[1, 0], [1, 0], [1, 0], [0, 1]])
    assert copies_to_make(train, AUGMENT | changes, clusters=2) == copies


@pytest.mark.parametrize("strategy", ["none", "classes", "labels"])
def test_where_no_label_is_known_there_is_nothing_to_copy(strategy: str) -> None:
    assert copies_to_make(train_of([[-1, -1], [-1, -1]]), AUGMENT | {"strategy": strategy}, clusters=2) == (0, True)


WORK = Work(images=10_000, train=8_000, copies=3_000, bound="", image=200_000, row=2_048)


def test_without_a_try_the_disk_is_a_bound_and_there_is_no_time() -> None:
    assert said(WORK, {}, sample=24, workers=2, free=9_000_000_000) == [
        "next: 10,000 images to resize, 3,000 copies to make",
        "disk: at most 2.0 GB of resized images, at most 600.0 MB of copies, 16.4 MB of features; 9.0 GB are free",
    ]


def test_workers_share_resizing_and_copies_and_a_bound_is_said_where_it_is_one() -> None:
    tried = {
        "bytes": 50_000.0,
        "resize": {"once": 0.0, "each": 0.01},
        "augment": {"once": 3.0, "each": 0.02},
        "features": {"once": 4.0, "each": 0.002},
    }
    lines = said(replace(WORK, bound="at most "), tried, sample=24, workers=2, free=0)
    assert lines == [
        "next: 10,000 images to resize, at most 3,000 copies to make",
        "disk: 500.0 MB of resized images, at most 150.0 MB of copies, 16.4 MB of features; 0 bytes are free",
        "time: 50 s of resize, 20 s of features, at most 33 s of augment, as 24 of the images took with 2 workers",
    ]


@pytest.fixture
def three_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images, enough of them to be tried."""
    monkeypatch.setattr(module, "TRIED_FROM", 3)
    for i in range(3):
        images.write(of_colour(RED, 40, 40), tmp_path / f"{i:03}.png", "png")
    return tmp_path


def lines_of(folder: Path, table: Any = None, source: Any = None, **changes: Any) -> list[str]:
    how: dict[str, Any] = {
        "resize": PARAMS.resize.model_dump(), "features": PARAMS.features.model_dump(), "clusters": 2,
        "augment": AUGMENT, "filled": False, "workers": 1,
    }  # fmt: skip
    rows = train_of([[1, 0], [1, 0], [0, 1]]) if table is None else table
    return forecast(rows, source or FolderImages(folder), Trial(3), **(how | changes))


def test_the_users_own_images_are_tried(three_images: Path) -> None:
    counts, disk, time = lines_of(three_images)
    assert counts == "next: 3 images to resize, at most 1 copies to make"
    assert re.match(
        r"disk: \d\.\d kB of resized images, at most \d\.\d kB of copies, 1\.5 kB of features; .* are free", disk
    )
    assert time.startswith("time: 0 s of resize, at most ")
    assert time.endswith(" of augment, as 3 of the images took with 1 workers")


def test_images_of_an_array_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIED_FROM", 3)
    np.save(tmp_path / "images.npy", np.zeros((3, 20, 20), np.uint8))
    table = train_of([[1, 0], [1, 0], [0, 1]]).assign(path=["0", "1", "2"])
    assert len(lines_of(tmp_path, table, open_images(tmp_path / "images.npy"))) == 3


def test_labels_that_will_be_filled_make_the_number_of_copies_uncertain(three_images: Path) -> None:
    counts = lines_of(three_images, augment=AUGMENT | {"strategy": "classes"}, filled=True)[0]
    assert counts == "next: 3 images to resize, about 1 copies to make"


def test_a_damaged_image_is_one_to_measure_less(three_images: Path) -> None:
    (three_images / "001.png").write_bytes(b"no image")
    assert "time: 0 s of resize" in lines_of(three_images)[2]


def test_where_no_image_can_be_tried_the_counts_are_said_all_the_same(three_images: Path) -> None:
    for path in three_images.iterdir():
        path.unlink()
    assert [line.partition(":")[0] for line in lines_of(three_images)] == ["next", "disk"]


def test_a_try_that_takes_too_long_is_given_up(three_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVEN_UP", 0.01)
    assert [line.partition(":")[0] for line in lines_of(three_images)] == ["next", "disk"]


def test_few_images_are_not_tried(three_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIED_FROM", 4)
    assert len(lines_of(three_images)) == 2


def test_a_trial_that_nothing_is_asked_of_ends_with_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIED_FROM", 3)
    process = Trial(3)._process
    assert process is not None
    assert process.communicate(timeout=60) == ("", None)  # It closes the pipe, as the end of a process does.
    assert process.returncode == 0
