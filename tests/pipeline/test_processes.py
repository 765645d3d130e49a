"""Features and training by two processes, on the CPU here as on two GPUs elsewhere."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.conftest import FEATURES, TINY, TRAIN
from tests.pipeline.disturbing import remove
from tests.workspace import PROJECT, run, write_params

pytestmark = pytest.mark.slow
# Neither dropout nor batch norm, which on the CPU is each process's own.
EXACT = {"train.model": "cnn3", "train.weights": "random", "train.freeze": False, "train.epochs": 2}
# Adam divides a gradient by its own size, so next to zero, a difference of rounding would become a whole step.
SGD = {"train.optimizer": "sgd", "train.learning_rate": 0.01}
# The last of its batches is odd.
BATCH = {"train.batch_size": 10}


@pytest.fixture
def folder(augmented: Path, tmp_path: Path) -> Path:
    """The tiny folder with its copies, and nothing of what is kept."""
    own = tmp_path / "own"
    shutil.copytree(augmented, own, ignore=shutil.ignore_patterns(".counterweight"))
    return own


def trained(folder: Path, *command: str, **environment: str) -> tuple[pd.DataFrame, dict[str, "np.ndarray"]]:
    """History and weights of a training."""
    run(folder, *command, "stages.train", *TRAIN, PYTHONPATH=str(PROJECT), **environment)
    results = folder / "results/arms/copies"
    history = pd.read_csv(results / "history.csv")
    weights = load_file(results / "models/seed-0/model.safetensors")
    shutil.rmtree(results)
    shutil.rmtree(folder / ".counterweight", ignore_errors=True)
    return history, weights


def test_features_of_two_processes_are_those_of_one(folder: Path) -> None:
    expected = (folder / "features/features.npy").read_bytes()
    (folder / "features/features.npy").unlink()
    command = ("python", "-m", "stages.features", *FEATURES)
    done = run(folder, *command, PYTHONPATH=str(PROJECT), COUNTERWEIGHT_DEVICES="2")
    assert (folder / "features/features.npy").read_bytes() == expected
    assert done.stderr.count("48 train images, 64 features each, on 2 x cpu") == 1
    assert done.stderr.count("weights are random") == 1
    assert "24 images seen by the network" in done.stderr


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (("python", "-m"), {"COUNTERWEIGHT_DEVICES": "2"}),
        (
            ("torchrun", "--nnodes=1", "--nproc-per-node=2", "--master-port=29511", "-m"),
            {"COUNTERWEIGHT_DEVICES": "2"},
        ),
    ],
    ids=["started here", "torchrun"],
)
def test_training_by_two_processes_is_that_of_one_but_for_rounding(
    command: tuple[str, ...], environment: dict[str, str], folder: Path
) -> None:
    write_params(folder / "params.yaml", TINY | EXACT | SGD | BATCH)
    alone, of_one = trained(folder, "python", "-m")
    together, of_two = trained(folder, *command, **environment)
    np.testing.assert_allclose(together.to_numpy(), alone.to_numpy(), rtol=1e-4, atol=1e-6)
    assert of_two.keys() == of_one.keys()
    for name, values in of_one.items():
        np.testing.assert_allclose(of_two[name], values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(("stage", "options", "out"), [
    ("features", FEATURES, "features/features.npy"), ("train", TRAIN, "results/arms/copies")
])  # fmt: skip
def test_image_that_one_process_cannot_read_ends_all_of_them(
    number: int, stage: str, options: list[str], out: str, folder: Path
) -> None:
    write_params(folder / "params.yaml", TINY | EXACT | BATCH)
    remove([folder / out])
    path = pd.read_csv(folder / "data/resized.csv", dtype="str").query("split == 'train'")["path"].iloc[number]
    (folder / "data/resized" / path).write_bytes(b"")
    command = ("python", "-m", f"stages.{stage}", *options)
    done = run(folder, *command, check=False, PYTHONPATH=str(PROJECT), COUNTERWEIGHT_DEVICES="2")
    assert done.returncode == 1
    assert f"{path}: the file has changed since the manifest was written. Run dvc repro." in done.stderr
    assert "another process of this stage ended before its work was done" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / out).exists()
