"""Damaged image files end in a picture, or in an error that names the file."""

import json
import os
from pathlib import Path

import pytest

from tests.fuzz.mutants import SEEDS
from tests.workspace import PROJECT, run

MUTANTS = int(os.environ.get("COUNTERWEIGHT_MUTANTS", "500"))


@pytest.mark.parametrize("format", SEEDS)
@pytest.mark.timeout(60 + MUTANTS)
def test_damaged_files_end_in_a_picture_or_in_an_error_that_names_them(format: str, tmp_path: Path) -> None:
    done = run(PROJECT, "python", "-m", "tests.fuzz.mutants", str(tmp_path), format, str(MUTANTS), "0")
    found = json.loads(done.stdout)
    assert sum(found.get(what, 0) for what in ("taken", "refused", "refused when decoded")) == MUTANTS
    assert min(found["taken"], found["refused"]) > MUTANTS / 200
