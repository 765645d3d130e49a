import io
import itertools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterweight.augmentation.allocation import copies_needed
from counterweight.base import manifest
from counterweight.base.params import load_params
from counterweight.onboarding.forecast import Work, copies_to_make, log_lines, main, most_copies, work_ahead
from tests.workspace import PROJECT, write_params

PARAMS = load_params(PROJECT / "params.yaml")
AUGMENT = PARAMS.augment.model_dump()


def train_of(targets: list[list[int]]) -> pd.DataFrame:
    names = [f"{i:03}.png" for i in range(len(targets))]
    return manifest.build(names, names, ["train"] * len(names), ["cat", "dog"], np.array(targets), ["00"] * len(names))


@pytest.mark.parametrize("target", [1.0, 0.5])
@pytest.mark.parametrize("minority", [None, 1, 2])
@pytest.mark.parametrize("cap", [None, 1, 2])
def test_no_cluster_sizes_need_more_copies_than_the_bound(target: float, minority: int | None, cap: int | None) -> None:
    most = most_copies(12, 3, target=target, minority=minority, cap=cap)
    for sizes in itertools.product(range(1, 11), repeat=3):
        if sum(sizes) == 12:
            needed = copies_needed(dict(enumerate(sizes)), target=target, fill_smallest=minority)
            made = sum(count if cap is None else min(count, cap * sizes[group]) for group, count in needed.items())
            assert made <= most, sizes


def test_without_a_cap_the_worst_sizes_need_as_many_copies_as_the_bound() -> None:
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
def test_copies_are_exact_for_labels_and_bounded_for_clusters(
    changes: dict[str, Any], copies: tuple[int, bool]
) -> None:
    train = train_of([[1, 0], [1, 0], [1, 0], [0, 1]])
    assert copies_to_make(train, AUGMENT | changes, clusters=2) == copies


@pytest.mark.parametrize("strategy", ["none", "classes", "labels"])
def test_without_a_known_label_there_is_nothing_to_copy(strategy: str) -> None:
    assert copies_to_make(train_of([[-1, -1], [-1, -1]]), AUGMENT | {"strategy": strategy}, clusters=2) == (0, True)


WORK = Work(images=10_000, train=8_000, copies=3_000, qualifier="", image_bytes=200_000, row_bytes=2_048)


def test_images_copies_and_disk_space_are_logged() -> None:
    assert log_lines(WORK, free=9_000_000_000) == [
        "next: 10,000 images to resize, 3,000 copies to make",
        "disk: at most 2.0 GB of resized images, at most 600.0 MB of copies, 16.4 MB of features; 9.0 GB are free",
    ]


def test_a_bound_is_logged_as_one() -> None:
    lines = log_lines(replace(WORK, qualifier="at most "), free=0)
    assert lines[0] == "next: 10,000 images to resize, at most 3,000 copies to make"


def test_labels_to_be_imputed_make_the_number_of_copies_uncertain() -> None:
    data = PARAMS.data.model_copy(update={"missing": "self_train"})
    augment = PARAMS.augment.model_copy(update={"strategy": "classes"})
    work = work_ahead(
        train_of([[1, 0], [1, 0], [0, 1]]), 3, PARAMS.model_copy(update={"data": data, "augment": augment})
    )
    assert (work.copies, work.qualifier) == (1, "about ")


def answer(question: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(question))
    main()
    return capsys.readouterr().out


def test_the_command_answers_from_the_manifest_and_the_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(tmp_path / "params.yaml", {})
    manifest.write(train_of([[1, 0], [1, 0], [0, 1]]), tmp_path / "manifest.csv")
    question = {"manifest": str(tmp_path / "manifest.csv"), "params": str(tmp_path / "params.yaml")}
    counts, disk = answer(json.dumps(question), monkeypatch, capsys).splitlines()
    assert counts == "next: 3 images to resize, at most 0 copies to make"
    assert re.match(
        r"disk: at most \d+\.\d kB of resized images, at most 0 bytes of copies, 1\.5 kB of features; .* are free", disk
    )


def test_a_failed_ingest_without_a_question_gets_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer("", monkeypatch, capsys) == ""
