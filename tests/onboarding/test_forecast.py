import io
import itertools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterweight.augmentation.allocation import AllocationConfig, copies_needed
from counterweight.base import manifest
from counterweight.base.params import Params, load_params
from counterweight.onboarding.forecast import copies_to_make, forecast, main, most_copies
from tests.workspace import PROJECT, write_params

PARAMS = load_params(PROJECT / "params.yaml")
AUGMENT = PARAMS.augment.model_dump()


def with_params(**sections: dict[str, Any]) -> Params:
    """Return the params of the project with some values changed."""
    changed = {name: getattr(PARAMS, name).model_copy(update=values) for name, values in sections.items()}
    return PARAMS.model_copy(update=changed)


def train_of(targets: list[list[int]]) -> pd.DataFrame:
    names = [f"{i:03}.png" for i in range(len(targets))]
    return manifest.build(names, names, ["train"] * len(names), ["cat", "dog"], np.array(targets), ["00"] * len(names))


@pytest.mark.parametrize("target", [1.0, 0.5, 4, 20])
@pytest.mark.parametrize("minority", [None, 1, 2])
@pytest.mark.parametrize("cap", [None, 1, 2])
def test_no_cluster_sizes_need_more_copies_than_the_bound(target: float, minority: int | None, cap: int | None) -> None:
    most = most_copies(12, 3, AllocationConfig(target, minority, cap, 0))
    for sizes in itertools.product(range(1, 11), repeat=3):
        if sum(sizes) == 12:
            needed = copies_needed(dict(enumerate(sizes)), target=target, fill_smallest=minority)
            made = sum(count if cap is None else min(count, cap * sizes[group]) for group, count in needed.items())
            assert made <= most, sizes


def test_without_a_cap_the_worst_sizes_need_as_many_copies_as_the_bound() -> None:
    assert most_copies(12, 3, AllocationConfig(1.0, None, None, 0)) == 18
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


def test_images_copies_and_disk_space_are_logged() -> None:
    names = [f"{i:05}.png" for i in range(10_000)]
    targets = np.array([[1, 0]] * 5_500 + [[0, 1]] * 4_500)
    table = manifest.build(names, names, ["train"] * 8_000 + ["test"] * 2_000, ["cat", "dog"], targets, names)
    params = with_params(
        augment={"strategy": "classes", "copies_per_image": None},
        resize={"width": 500, "height": 500, "format": "jpg"},
        features={"model": "resnet18", "layer": "layer4"},
    )
    assert forecast(table, params, free=9_000_000_000) == [
        "next: 10,000 images to resize, 3,000 copies to make",
        "disk: at most 2.0 GB of resized images, at most 600.0 MB of copies, 16.4 MB of features; 9.0 GB are free",
    ]


@pytest.mark.parametrize(("strategy", "missing", "copies"), [
    ("clusters", "mask", "at most 3"),
    ("clusters", "self_train", "at most 3"),
    ("classes", "mask", "1"),
    ("classes", "self_train", "about 1"),
    ("none", "self_train", "0"),
])  # fmt: skip
def test_a_bound_and_labels_to_be_imputed_make_the_number_of_copies_uncertain(
    strategy: str, missing: str, copies: str
) -> None:
    params = with_params(augment={"strategy": strategy}, data={"missing": missing}, cluster={"n_clusters": 2})
    lines = forecast(train_of([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]), params, free=0)
    assert lines[0] == f"next: 5 images to resize, {copies} copies to make"


def run_with_input(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    main(["--manifest", str(folder / "manifest.csv"), "--params", str(folder / "params.yaml")])
    return capsys.readouterr().out


def test_the_command_reads_the_manifest_and_the_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(tmp_path / "params.yaml", {})
    manifest.write(train_of([[1, 0], [1, 0], [0, 1]]), tmp_path / "manifest.csv")
    counts, disk = run_with_input("go\n", tmp_path, monkeypatch, capsys).splitlines()
    assert counts == "next: 3 images to resize, at most 0 copies to make"
    assert re.match(
        r"disk: at most \d+\.\d kB of resized images, at most 0 bytes of copies, 1\.5 kB of features; .* are free", disk
    )


def test_without_a_line_because_ingest_failed_the_command_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with_input("", tmp_path, monkeypatch, capsys) == ""
