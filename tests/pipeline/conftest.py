import shutil
from pathlib import Path

import pytest

from tests.conftest import AUGMENT, CLUSTER, EVALUATE, EXPORT, FEATURES, FILL, INGEST, REPORT, RESIZE, SPLIT, TRAIN
from tests.workspace import PROJECT, run

COMPARE = (
    "--original-metrics results/balanced/metrics.json --original-labels results/balanced/labels.csv "
    "--balanced-metrics results/balanced/metrics.json --balanced-labels results/balanced/labels.csv "
    "--table results/comparison.csv --json results/comparison.json --chart results/comparison.svg"
).split()
# Each stage's options, and how many of the last of them are its outputs.
STAGES = {
    "ingest": (INGEST, 6),
    "resize": (RESIZE, 2),
    "features": (FEATURES, 1),
    "fill": (FILL, 3),
    "cluster": (CLUSTER, 4),
    "augment": (AUGMENT, 5),
    "split": (SPLIT, 1),
    "export": (EXPORT, 1),
    "train": (TRAIN, 2),
    "evaluate": (EVALUATE, 8),
    "compare": (COMPARE, 3),
    "report": ([*REPORT, "--out", "results/report.html"], 1),
}


@pytest.fixture(scope="session")
def judged(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny folder after evaluate, to disturb stages in."""
    folder = tmp_path_factory.mktemp("killed") / "tiny"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(".counterweight"))
    run(folder, "python", "-m", "stages.evaluate", *EVALUATE, PYTHONPATH=str(PROJECT))
    return folder
