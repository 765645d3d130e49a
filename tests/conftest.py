"""Tiny data, and the stages run on it as real commands, each once per test run."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from counterweight.images.geometry import Pixels
from counterweight.sheets.sheet_writer import write_sheet
from data.example.drawing import make_images
from tests.pictures import BLUE, GREEN, RED, WHITE, of_color
from tests.workspace import PROJECT, make_workspace, run, write_params

# What makes the whole pipeline pass in seconds; every stage still does its own work.
TINY = {
    "data.images": "images",
    "data.sheet": "labels.xlsx",
    "data.validation": 0.2,
    "resize.width": 32,
    "resize.height": 32,
    "features.weights": "random",
    "features.layer": "layer1",
    "features.input_size": 32,
    "cluster.n_components": 8,
    "cluster.n_clusters": 3,
    "probe.folds": 3,
    "probe.repeats": 2,
    "probe.max_copied": 6,
    "probe.images_per_augmenter": 1,
    "augment.guard": None,  # Off with random weights anyway; without it, nothing waits for PyTorch.
    "train.arms": ["nothing", "copies", "copies+weights"],
    "train.repeats": 2,
    "train.weights": "random",
    "train.layer": "layer1",
    "train.freeze": False,
    "train.input_size": 32,
    "train.optimizer": "adam",
    "train.epochs": 2,
    "compare.bootstrap_samples": 200,
}
# The arms and seeds that these params train.
ARMS, SEEDS = ("nothing", "copies", "copies+weights"), (0, 1)

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


def project_in_state(tmp_path_factory: pytest.TempPathFactory, state: str, make: Callable[[Path], object]) -> Path:
    """Return a copy of a folder that is made once per test run, by the first pytest-xdist worker that needs it.

    Parameters
    ----------
    tmp_path_factory : pytest.TempPathFactory
        Tells where the workers of this run keep their files.
    state : str
        The folder's name.
    make : callable
        Makes the folder, which does not exist yet.
    """
    made = _states(tmp_path_factory) / state
    made.parent.mkdir(exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = made.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(made)
    return Path(shutil.copytree(made, tmp_path_factory.mktemp(state) / "project"))


def _states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "states"


def after(stage: str, options: list[str], state: str, before: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tiny folder in a new state: the state before, after one more stage."""

    def make(folder: Path) -> None:
        shutil.copytree(_states(tmp_path_factory) / before, folder)
        run_stage(folder, stage, *options)

    return project_in_state(tmp_path_factory, state, make)


def after_arms(
    stage: str, options: Callable[[str], list[str]], state: str, before: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a copy of the tiny folder after a stage of each arm, all in one process, which imports PyTorch once."""
    code = f"import json, sys\nfrom stages.{stage} import main\nfor options in json.loads(sys.argv[1]): main(options)"

    def make(folder: Path) -> None:
        shutil.copytree(_states(tmp_path_factory) / before, folder)
        run(folder, "python", "-c", code, json.dumps([options(arm) for arm in ARMS]), PYTHONPATH=str(PROJECT))

    return project_in_state(tmp_path_factory, state, make)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a sheet and params.yaml."""

    def make(folder: Path) -> None:
        make_tiny_data(folder)
        write_params(folder / "params.yaml", TINY)

    return project_in_state(tmp_path_factory, "tiny", make)


INGEST = (
    "--images images --sheet labels.xlsx --manifest data/manifest.csv --labels data/labels.csv "
    "--unlisted data/unlisted.csv --dropped data/dropped.csv --duplicates data/duplicates.csv "
    "--splits data/splits.csv "
    "--metrics data/ingest.json"
).split()
RESIZE = "--manifest data/manifest.csv --images images --resized data/resized --table data/resized.csv".split()
FEATURES = "--table data/resized.csv --resized data/resized --out features/features.npy".split()
LEAKS = (
    "--table data/resized.csv --resized data/resized --duplicates data/duplicates.csv "
    "--features features/features.npy --leaks features/leaks.csv --metrics features/leaks.json"
).split()
IMPUTE = (
    "--table data/resized.csv --features features/features.npy --labeled features/labeled.csv "
    "--imputed features/imputed.csv --metrics features/impute.json"
).split()
CLUSTER = (
    "--table features/labeled.csv --features features/features.npy --clusters features/clusters.csv "
    "--plane features/plane.csv --sweep features/sweep.csv --metrics features/cluster.json"
).split()
PROBE = (
    "--clusters features/clusters.csv --features features/features.npy --duplicates data/duplicates.csv "
    "--resized data/resized --remedies results/remedies.csv --folds results/remedy_folds.csv "
    "--issues results/label_issues.csv --curve results/learning_curve.csv --affinity results/affinity.csv "
    "--pictures results/affinity --metrics results/remedies.json "
    "--chart results/remedies.svg"
).split()
AUGMENT = (
    "--clusters features/clusters.csv --features features/features.npy --duplicates data/duplicates.csv "
    "--resized data/resized --images augmented/images "
    "--manifest augmented/manifest.csv --labels augmented/labels.csv --arms augmented/arms "
    "--copies augmented/copies.csv --hidden augmented/hidden_labels.csv --metrics augmented/augment.json"
).split()
SHEET = "--sheet labels.xlsx --manifest augmented/manifest.csv --out augmented/balanced.xlsx".split()
EXPORT = (
    "--manifest augmented/manifest.csv --resized data/resized --copies augmented/images --out augmented/dataset "
    "--shards augmented/shards"
).split()


def train_options(arm: str) -> list[str]:
    """Options of train for an arm."""
    results = f"results/arms/{arm}"
    return (
        f"--table augmented/arms/{arm}.csv --resized data/resized --copies augmented/images "
        f"--models {results}/models --history {results}/history.csv"
    ).split()


def evaluate_options(arm: str) -> list[str]:
    """Options of evaluate for an arm."""
    results = f"results/arms/{arm}"
    return (
        f"--models {results}/models --table augmented/arms/{arm}.csv --resized data/resized "
        f"--metrics {results}/metrics.json --labels {results}/labels.csv --scores {results}/scores.csv "
        f"--report {results}/report.txt --roc {results}/roc.csv --precision-recall {results}/precision_recall.csv "
        f"--confusion {results}/confusion.csv --confusion-chart {results}/confusion.svg"
    ).split()


TRAIN, EVALUATE = train_options("copies"), evaluate_options("copies")
COMPARE = (
    "--tables augmented/arms --arms results/arms --comparison results/comparison.csv --differences results/arms.csv "
    "--verdict results/verdict.json --summary results/summary.json --chart results/comparison.svg"
).split()
EXPLAIN = (
    "--tables augmented/arms --resized data/resized --arms results/arms "
    "--explanations results/explanations.csv --pictures results/explanations --metrics results/explanations.json"
).split()
REPORT = (
    "--remedies results/remedies.csv --recommendation results/remedies.json --issues results/label_issues.csv "
    "--curve results/learning_curve.csv --affinity results/affinity.csv --pictures results/affinity "
    "--ingest data/ingest.json --impute features/impute.json --clusters features/clusters.csv "
    "--features features/features.npy --leaks features/leaks.csv "
    "--compared features/leaks.json --plane features/plane.csv "
    "--sweep features/sweep.csv "
    "--augment augmented/augment.json --manifest augmented/manifest.csv --draws augmented/copies.csv "
    "--resized data/resized --copies augmented/images "
    "--arms results/arms --differences results/arms.csv --verdict results/verdict.json "
    "--explanations results/explanations.csv --explained results/explanations.json --overlays results/explanations"
).split()


@pytest.fixture(scope="session")
def ingested(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after ingest."""
    return after("ingest", INGEST, "ingested", "tiny", tmp_path_factory)


@pytest.fixture(scope="session")
def resized(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after resize."""
    return after("resize", RESIZE, "resized", "ingested", tmp_path_factory)


@pytest.fixture(scope="session")
def featured(resized: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after features."""
    return after("features", FEATURES, "featured", "resized", tmp_path_factory)


@pytest.fixture(scope="session")
def searched(featured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after leaks."""
    return after("leaks", LEAKS, "searched", "featured", tmp_path_factory)


@pytest.fixture(scope="session")
def filled(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after impute."""
    return after("impute", IMPUTE, "filled", "searched", tmp_path_factory)


@pytest.fixture(scope="session")
def clustered(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after cluster."""
    return after("cluster", CLUSTER, "clustered", "filled", tmp_path_factory)


@pytest.fixture(scope="session")
def probed(clustered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after probe."""
    return after("probe", PROBE, "probed", "clustered", tmp_path_factory)


@pytest.fixture(scope="session")
def augmented(clustered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after augment."""
    return after("augment", AUGMENT, "augmented", "clustered", tmp_path_factory)


@pytest.fixture(scope="session")
def balanced(augmented: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after sheet."""
    return after("sheet", SHEET, "balanced", "augmented", tmp_path_factory)


@pytest.fixture(scope="session")
def trained(balanced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after train of each arm."""
    return after_arms("train", train_options, "trained", "balanced", tmp_path_factory)


@pytest.fixture(scope="session")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after evaluate of each arm."""
    return after_arms("evaluate", evaluate_options, "evaluated", "trained", tmp_path_factory)


@pytest.fixture(scope="session")
def compared(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after compare."""
    return after("compare", COMPARE, "compared", "evaluated", tmp_path_factory)


@pytest.fixture(scope="session")
def explained(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder after explain."""
    return after("explain", EXPLAIN, "explained", "compared", tmp_path_factory)


@pytest.fixture(scope="session")
def reportable(explained: Path, probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder with all that report reads."""

    def make(folder: Path) -> None:
        shutil.copytree(explained, folder)
        shutil.copytree(probed / "results", folder / "results", dirs_exist_ok=True)

    return project_in_state(tmp_path_factory, "reportable", make)


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in git, its data tracked by DVC, after `dvc repro` (its log is .git/repro.log) and a commit."""

    def make(folder: Path) -> None:
        make_tiny_data(folder)
        run(folder, "git", "init", "--quiet")
        run(folder, "git", "config", "user.name", "A User")
        run(folder, "git", "config", "user.email", "user@example.invalid")
        make_workspace(folder, TINY, scm=True)
        run(folder, "dvc", "add", "--quiet", "images", "labels.xlsx")
        log = run(folder, "dvc", "repro").stdout
        run(folder, "git", "add", "--all")
        run(folder, "git", "commit", "--quiet", "--message", "first")
        (folder / ".git/repro.log").write_text(log)

    return project_in_state(tmp_path_factory, "reproduced", make)


def skip_without_bfloat16(engine: str) -> None:
    """Skip a test of an engine that this CPU has no arithmetic for."""
    from counterweight.networks.openvino import supports_bfloat16

    if engine == "openvino_bf16" and not supports_bfloat16():
        pytest.skip("this CPU does not compute in bfloat16")


@pytest.fixture
def four_colors() -> Pixels:
    top = np.hstack([of_color(RED, 16, 24), of_color(GREEN, 16, 24)])
    return np.vstack([top, np.hstack([of_color(BLUE, 16, 24), of_color(WHITE, 16, 24)])])


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
