import shutil
from pathlib import Path

import pytest

from tests.conftest import (
    AUGMENT,
    CLUSTER,
    COMPARE,
    EVALUATE,
    EXPLAIN,
    EXPORT,
    FEATURES,
    IMPUTE,
    INGEST,
    LEAKS,
    PROBE,
    REPORT,
    RESIZE,
    SHEET,
    TRAIN,
)

# Each stage's options, and how many of the last of them are its outputs.
STAGES = {
    "ingest": (INGEST, 7),
    "resize": (RESIZE, 2),
    "features": (FEATURES, 1),
    "leaks": (LEAKS, 2),
    "impute": (IMPUTE, 3),
    "cluster": (CLUSTER, 4),
    "probe": (PROBE, 8),
    "augment": (AUGMENT, 7),
    "sheet": (SHEET, 1),
    "export": (EXPORT, 2),
    "train": (TRAIN, 2),
    "evaluate": (EVALUATE, 8),
    "compare": (COMPARE, 5),
    "explain": (EXPLAIN, 3),
    "report": ([*REPORT, "--out", "results/report.html", "--gallery", "results/gallery"], 2),
}


@pytest.fixture(scope="session")
def judged(reportable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny folder after evaluate, without finished work, to disturb stages in."""
    folder = tmp_path_factory.mktemp("disturbed") / "tiny"
    return Path(shutil.copytree(reportable, folder, ignore=shutil.ignore_patterns(".counterweight")))
