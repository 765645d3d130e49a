"""docs/augmenters.md shows every augmenter, as it is, and cites what was measured."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from counterweight.base import steps
from counterweight.base.steps import validate_step
from counterweight.onboarding.params_file import apply_overlay
from docs.augmenters import AUGMENTERS, picture, table
from tests.workspace import PROJECT, write_params

GUIDE = (PROJECT / "docs/augmenters.md").read_text(encoding="utf-8")
MEASURED = (PROJECT / "benchmarks/README.md").read_text(encoding="utf-8")
ROWS = {"none": "none", "`article`": "clusters, article", "`gentle`": "clusters, gentle", "`plain`": "clusters, plain"}


def test_every_augmenter_is_shown() -> None:
    assert set(AUGMENTERS) == set(steps.AUGMENTERS)


@pytest.mark.parametrize("name", AUGMENTERS)
def test_arguments_that_are_shown_may_be_given(name: str) -> None:
    for arguments in (AUGMENTERS[name].weak, AUGMENTERS[name].strong):
        assert arguments is None or validate_step({name: arguments}, steps.AUGMENTERS) is None


def test_the_table_is_that_of_the_code() -> None:
    assert table() in GUIDE


def test_the_picture_is_that_of_the_code(tmp_path: Path) -> None:
    picture(tmp_path / "first.png")
    picture(tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert (tmp_path / "first.png").stat().st_size < 300_000
    made, kept = (
        np.asarray(Image.open(file).convert("RGB"), dtype=np.float64)
        for file in (tmp_path / "first.png", PROJECT / "docs/augmenters.png")
    )
    assert made.shape == kept.shape
    assert np.abs(made - kept).mean() < 2  # Another processor rounds otherwise.


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))
def test_a_pipeline_of_ones_own_is_valid(block: str, tmp_path: Path) -> None:
    augment = YAML(typ="safe", pure=True).load(block)["augment"]
    write_params(tmp_path / "params.yaml", {})
    changes = {"augment.pipeline": "mine", "augment.pipelines.mine": augment["pipelines"]["mine"]}
    apply_overlay(tmp_path / "params.yaml", changes)


@pytest.mark.parametrize("shown", ROWS)
def test_what_blur_costs_is_the_mean_of_what_was_measured(shown: str) -> None:
    rows = re.findall(rf"^\| {ROWS[shown]} +\*? *\|(.*)\|$", MEASURED, re.MULTILINE)
    numbers = np.array([[float(cell) for cell in row.split("|")[7:10]] for row in rows if row.count("|") == 10])
    assert len(numbers) == 5
    assert f"| {shown} | {' | '.join(f'{mean:.3f}' for mean in numbers.mean(axis=0))} |" in GUIDE
