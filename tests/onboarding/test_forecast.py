import io
import itertools
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.augmentation.allocation import copies_needed
from counterweight.base import manifest
from counterweight.base.params import load_params
from counterweight.images import codec
from counterweight.images.sources import FolderImages, Images, open_images
from counterweight.onboarding import forecast as module
from counterweight.onboarding.forecast import (
    Measured,
    Work,
    copies_to_make,
    log_lines,
    main,
    measure,
    most_copies,
    spread,
    work_ahead,
)  # fmt: skip
from counterweight.onboarding.trial import Cost
from tests.pictures import RED, of_colour
from tests.workspace import PROJECT, write_params

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


WORK = Work(images=10_000, train=8_000, copies=3_000, qualifier="", image_bytes=200_000, row_bytes=2_048)


def test_without_a_trial_the_disk_is_a_bound_and_there_is_no_time() -> None:
    assert log_lines(WORK, None, workers=2, free=9_000_000_000) == [
        "next: 10,000 images to resize, 3,000 copies to make",
        "disk: at most 2.0 GB of resized images, at most 600.0 MB of copies, 16.4 MB of features; 9.0 GB are free",
    ]


def test_workers_share_resizing_and_copies_and_a_bound_is_named_as_one() -> None:
    measured = Measured(
        24, 50_000.0, {"resize": Cost(0.0, 0.01), "augment": Cost(3.0, 0.02), "features": Cost(4.0, 0.002)}
    )
    assert log_lines(replace(WORK, qualifier="at most "), measured, workers=2, free=0) == [
        "next: 10,000 images to resize, at most 3,000 copies to make",
        "disk: 500.0 MB of resized images, at most 150.0 MB of copies, 16.4 MB of features; 0 bytes are free",
        "time: 50 s of resize, 20 s of features, at most 33 s of augment, as 24 of the images took with 2 workers",
    ]


def test_labels_that_will_be_filled_make_the_number_of_copies_uncertain() -> None:
    data = PARAMS.data.model_copy(update={"missing": "self_train"})
    augment = PARAMS.augment.model_copy(update={"strategy": "classes"})
    work = work_ahead(
        train_of([[1, 0], [1, 0], [0, 1]]), 3, PARAMS.model_copy(update={"data": data, "augment": augment})
    )
    assert (work.copies, work.qualifier) == (1, "about ")


def test_names_are_spread_evenly_with_both_ends() -> None:
    assert spread(list("abcdefg"), 3) == ["a", "d", "g"]
    assert spread(["a", "b"], 24) == ["a", "b"]


@pytest.fixture
def three_images(tmp_path: Path) -> Path:
    for i in range(3):
        codec.write(of_colour(RED, 40, 40), tmp_path / f"images/{i:03}.png", "png")
    return tmp_path / "images"


NAMES = ["000.png", "001.png", "002.png"]
FEW = replace(WORK, images=3, train=3, copies=1)


def test_the_users_own_images_are_timed_and_their_files_weighed(three_images: Path) -> None:
    measured = measure(FolderImages(three_images), NAMES, FEW, PARAMS)
    assert measured is not None
    assert set(measured.costs) == {"resize", "augment"}
    assert 100 < measured.image_bytes < 20_000


def test_the_network_is_timed_where_it_matters(three_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NETWORK_FROM", 3)
    measured = measure(FolderImages(three_images), NAMES, replace(FEW, copies=0), PARAMS)
    assert measured is not None
    assert set(measured.costs) == {"resize", "features"}


def test_images_of_an_array_are_timed(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((3, 20, 20), np.uint8))
    assert measure(open_images(tmp_path / "images.npy"), ["0", "1", "2"], FEW, PARAMS) is not None


def test_without_a_readable_image_nothing_is_measured(three_images: Path) -> None:
    for path in three_images.iterdir():
        path.write_bytes(b"no image")
    assert measure(FolderImages(three_images), NAMES, FEW, PARAMS) is None


@pytest.fixture
def asked(three_images: Path, tmp_path: Path) -> dict[str, Any]:
    """What ingest asks, of three images."""
    write_params(tmp_path / "params.yaml", {})
    manifest.write(train_of([[1, 0], [1, 0], [0, 1]]).assign(path=NAMES), tmp_path / "manifest.csv")
    source: Images = FolderImages(three_images)
    return {"source": asdict(source), "manifest": tmp_path / "manifest.csv", "params": tmp_path / "params.yaml"}


def answer(question: str, images: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["forecast", str(images)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(question))
    main()
    return capsys.readouterr().out


def test_few_images_are_counted_and_not_timed(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, disk = answer(json.dumps(asked, default=str), 3, monkeypatch, capsys).splitlines()
    assert counts == "next: 3 images to resize, at most 0 copies to make"
    assert re.match(
        r"disk: at most \d+\.\d kB of resized images, at most 0 bytes of copies, 1\.5 kB of features; .* are free", disk
    )


def test_many_images_are_timed(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "\ntime: 0 s of resize, as 3 of the images took with " in answer(
        json.dumps(asked, default=str), 500, monkeypatch, capsys
    )


def test_a_stage_that_ended_without_a_question_gets_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer("", 500, monkeypatch, capsys) == ""
