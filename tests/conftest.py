"""Tiny data, and the stages run on it as real commands, each once a session."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from counterweight.dataset.spreadsheet import write_sheet
from counterweight.images.geometry import Pixels
from data.example.drawing import make_images
from tests.pictures import BLUE, GREEN, RED, WHITE, of_colour
from tests.workspace import PROJECT, make_workspace, run, write_params

# What makes the whole pipeline pass in seconds; every stage still does its own work.
TINY = {
    "data.images": "images",
    "data.sheet": "labels.xlsx",
    "data.validation": 0.2,
    "resize.width": 32,
    "resize.height": 32,
    "features.layer": "layer1",
    "cluster.components": 8,
    "cluster.clusters": 3,
    "train.layer": "layer1",
    "train.size": 32,
    "train.epochs": 2,
}

Stage = Callable[..., "subprocess.CompletedProcess[str]"]


def make_tiny_data(folder: Path, train: int = 60, test: int = 20) -> None:
    """Draw a few images of the example, and write their sheet, with a column of the user's own."""
    (folder / "images").mkdir(parents=True)
    drawn = make_images(folder / "images", train=train, test=test, seed=3)
    rows = [[image.file, image.split, ",".join(map(str, image.digits)), f"=note {i}"] for i, image in enumerate(drawn)]
    write_sheet(["id", "split", "target", "note"], rows, folder / "labels.xlsx", "xlsx")


def run_stage(folder: Path, stage: str, *options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a stage's command in a folder, by the paths of the project's dvc.yaml unless options say otherwise."""
    return run(folder, "python", "-m", f"stages.{stage}", *options, check=check, PYTHONPATH=str(PROJECT))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a sheet and params.yaml."""
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny_data(folder)
    write_params(folder / "params.yaml", TINY)
    return folder


INGEST = (
    "--images images --sheet labels.xlsx --manifest data/manifest.csv --labels data/labels.csv "
    "--unlisted data/unlisted.csv --dropped data/dropped.csv --duplicates data/duplicates.csv "
    "--metrics data/ingest.json"
).split()
RESIZE = "--manifest data/manifest.csv --images images --resized data/resized --table data/resized.csv".split()
FEATURES = "--table data/resized.csv --resized data/resized --out features/features.npy".split()
FILL = (
    "--table data/resized.csv --features features/features.npy --labelled features/labelled.csv "
    "--filled features/filled.csv --metrics features/fill.json"
).split()
CLUSTER = (
    "--table features/labelled.csv --features features/features.npy --clusters features/clusters.csv "
    "--plane features/plane.csv --sweep features/sweep.csv --metrics features/cluster.json"
).split()
AUGMENT = (
    "--clusters features/clusters.csv --resized data/resized --images augmented/images "
    "--manifest augmented/manifest.csv --labels augmented/labels.csv --redrawn augmented/redrawn.csv "
    "--metrics augmented/augment.json"
).split()
SPLIT = "--sheet labels.xlsx --manifest augmented/manifest.csv --out augmented/balanced.xlsx".split()
EXPORT = (
    "--manifest augmented/manifest.csv --resized data/resized --copies augmented/images --out augmented/dataset"
).split()
TRAIN = (
    "--table augmented/manifest.csv --resized data/resized --copies augmented/images "
    "--model results/balanced/model --history results/balanced/history.csv"
).split()
EVALUATE = (
    "--model results/balanced/model --table augmented/manifest.csv --resized data/resized "
    "--metrics results/balanced/metrics.json --labels results/balanced/labels.csv --scores results/balanced/scores.csv "
    "--report results/balanced/report.txt --roc results/balanced/roc.csv "
    "--precision-recall results/balanced/precision_recall.csv --confusion results/balanced/confusion.csv "
    "--confusion-chart results/balanced/confusion.svg"
).split()

# Both arms are the balanced one.
REPORT = (
    "--ingest data/ingest.json --clusters features/clusters.csv --plane features/plane.csv --sweep features/sweep.csv "
    "--augment augmented/augment.json --manifest augmented/manifest.csv --redrawn augmented/redrawn.csv "
    "--resized data/resized "
    "--copies augmented/images --original results/balanced --balanced results/balanced"
).split()


@pytest.fixture(scope="session")
def ingested(tiny: Path) -> Path:
    """The tiny folder after ingest."""
    run_stage(tiny, "ingest", *INGEST)
    return tiny


@pytest.fixture(scope="session")
def resized(ingested: Path) -> Path:
    """The tiny folder after resize."""
    run_stage(ingested, "resize", *RESIZE)
    return ingested


@pytest.fixture(scope="session")
def featured(resized: Path) -> Path:
    """The tiny folder after features."""
    run_stage(resized, "features", *FEATURES)
    return resized


@pytest.fixture(scope="session")
def filled(featured: Path) -> Path:
    """The tiny folder after fill."""
    run_stage(featured, "fill", *FILL)
    return featured


@pytest.fixture(scope="session")
def clustered(filled: Path) -> Path:
    """The tiny folder after cluster."""
    run_stage(filled, "cluster", *CLUSTER)
    return filled


@pytest.fixture(scope="session")
def augmented(clustered: Path) -> Path:
    """The tiny folder after augment."""
    run_stage(clustered, "augment", *AUGMENT)
    return clustered


@pytest.fixture(scope="session")
def balanced(augmented: Path) -> Path:
    """The tiny folder after split."""
    run_stage(augmented, "split", *SPLIT)
    return augmented


@pytest.fixture(scope="session")
def trained(balanced: Path) -> Path:
    """The tiny folder after train on the balanced arm."""
    run_stage(balanced, "train", *TRAIN)
    return balanced


@pytest.fixture(scope="session")
def evaluated(trained: Path) -> Path:
    """The tiny folder after evaluate of the balanced arm."""
    run_stage(trained, "evaluate", *EVALUATE)
    return trained


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in git, its data tracked by DVC, after `dvc repro` (its log is beside it) and a commit; copy it."""
    folder = tmp_path_factory.mktemp("reproduced") / "project"
    make_tiny_data(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "A User")
    run(folder, "git", "config", "user.email", "user@example.invalid")
    make_workspace(folder, TINY, scm=True)
    run(folder, "dvc", "add", "--quiet", "images", "labels.xlsx")
    (folder.parent / "repro.log").write_text(run(folder, "dvc", "repro").stdout)
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "first")
    return folder


def skip_without_bfloat16(engine: str) -> None:
    """Skip a test of an engine that this CPU has no arithmetic for."""
    from counterweight.networks.openvino import computes_bfloat16

    if engine == "openvino_bf16" and not computes_bfloat16():
        pytest.skip("this CPU does not compute in bfloat16")


@pytest.fixture
def four_colours() -> Pixels:
    top = np.hstack([of_colour(RED, 16, 24), of_colour(GREEN, 16, 24)])
    return np.vstack([top, np.hstack([of_colour(BLUE, 16, 24), of_colour(WHITE, 16, 24)])])


@pytest.fixture
def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)


@pytest.fixture
def photograph() -> Pixels:
    """Blurred noise, 600 x 800, with edges and fine grain as a photograph has them."""
    random = np.random.default_rng(0)
    coarse = gaussian_filter(random.normal(0, 900, (600, 800, 3)), (9, 9, 0))
    coarse[200:400, 300:500] += 90
    return np.clip(128 + coarse + random.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)
