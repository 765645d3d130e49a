"""Damaged image files yield an image, or an error that names the file."""

import json
import os
from pathlib import Path

import pytest

from tests.fuzz.mutants import SEEDS
from tests.workspace import PROJECT, run

MUTANTS = int(os.environ.get("COUNTERWEIGHT_MUTANTS", "500"))


@pytest.mark.parametrize("format", SEEDS)
@pytest.mark.timeout(60 + MUTANTS)
def test_damaged_files_yield_an_image_or_an_error_that_names_them(format: str, tmp_path: Path) -> None:
    done = run(PROJECT, "python", "-m", "tests.fuzz.mutants", str(tmp_path), format, str(MUTANTS), "0")
    outcomes = json.loads(done.stdout)
    assert sum(outcomes.get(outcome, 0) for outcome in ("accepted", "refused", "refused when decoded")) == MUTANTS
    assert min(outcomes["accepted"], outcomes["refused"]) > MUTANTS / 200
