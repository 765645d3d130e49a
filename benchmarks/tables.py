"""Memory and time of the tables of ten million images, which are made up: no image is needed.

    python -m benchmarks.tables [1000000 10000000]

Each step runs in a process of its own. Its memory is what only it can hold; features that are mapped from their file
are not counted, because the system takes their memory back when it needs some. pyarrow, which `make .venv/parquet`
installs, holds texts in a third of the memory. The table goes into benchmarks/README.md, and needs 15 GB of disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common import measured_by, write_section
from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.strategies import TrainImages, build_plan
from counterweight.base import manifest
from counterweight.base.params import load_params
from tests.workspace import make_workspace

LABELS = ["beach", "city", "desert", "forest", "mountains", "sea"]
# How often an image has each label, and is in each cluster.
LABEL_SHARES = np.array([0.3, 0.3, 0.05, 0.2, 0.2, 0.3])
CLUSTER_SHARES = [0.4, 0.3, 0.15, 0.1, 0.05]
FEATURES = 64
# Every 20th image is in test, the one after it in validation, and the next one has a copy.
PERIOD, COPIED = 20, 2
# Rows that are made at a time.
ROWS = 100_000
STEPS = {
    "manifest, read and written": "benchmarks.tables --step manifest",
    "stage impute, with nothing to impute": "stages.impute --table data/resized.csv --features features/features.npy "
    "--labeled features/labeled.csv --imputed features/imputed.csv --metrics features/impute.json",
    "stage cluster, minibatch": "stages.cluster --table features/labeled.csv --features features/features.npy "
    "--clusters features/clusters.csv --plane features/plane.csv --sweep features/sweep.csv "
    "--metrics features/cluster.json",
    "plan of augment, clusters": "benchmarks.tables --step clusters",
    "plan of augment, labels": "benchmarks.tables --step labels",
    "stage sheet, CSV": "stages.sheet --manifest augmented/manifest.csv --out augmented/balanced.csv",
}


def make_tables(n_images: int, project: Path) -> None:
    """Make what the steps read in a project: the manifest before and after copying, features, and a sheet."""
    rng = np.random.default_rng(0)
    for folder in ("data", "features", "augmented"):
        (project / folder).mkdir(exist_ok=True)
    n_train = n_images * (PERIOD - 2) // PERIOD
    features = np.lib.format.open_memmap(
        project / "features/features.npy", mode="w+", dtype="<f4", shape=(n_train, FEATURES)
    )
    centers, done = rng.standard_normal((len(CLUSTER_SHARES), FEATURES)), 0
    for start in range(0, n_images, ROWS):
        part, clusters = _rows(start, min(ROWS, n_images - start), rng)
        in_train = clusters[(part["split"] == "train").to_numpy()]
        features[done : done + len(in_train)] = centers[in_train] + rng.standard_normal((len(in_train), FEATURES))
        done += len(in_train)
        _append(part, project / "data/resized.csv")
        with_clusters = part.assign(cluster=np.where(part["split"] == "train", clusters.astype(str), ""))
        _append(_with_copies(with_clusters), project / "augmented/manifest.csv")
        has_label = part[[manifest.LABEL + label for label in LABELS]].to_numpy() == 1
        names = [",".join(label for label, has in zip(LABELS, row, strict=True) if has) for row in has_label.tolist()]
        _append(pd.DataFrame({"id": part["image_id"], "split": part["split"], "target": names}), project / "labels.csv")
    features.flush()


def _rows(start: int, count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Make some rows of a manifest without clusters, and a cluster for each."""
    numbers = np.arange(start, start + count)
    ids = [f"{number:08}.jpg" for number in numbers]
    has_label = rng.random((count, len(LABELS))) < LABEL_SHARES
    digits = rng.bytes(32 * count).hex()
    part = pd.DataFrame(
        {
            "image_id": ids,
            "path": ids,
            "split": np.select([numbers % PERIOD == 0, numbers % PERIOD == 1], ["test", "val"], "train"),
            "source_id": "",
            "cluster": "",
            **{manifest.LABEL + label: has_label[:, j].astype(np.int8) for j, label in enumerate(LABELS)},
            "checksum": [digits[64 * i : 64 * (i + 1)] for i in range(count)],
        }
    )
    return part, rng.choice(len(CLUSTER_SHARES), count, p=CLUSTER_SHARES)


def _with_copies(part: pd.DataFrame) -> pd.DataFrame:
    copies = part.iloc[COPIED::PERIOD]
    copies = copies.assign(image_id=copies["image_id"].str.replace(".jpg", "__copy1.jpg"), source_id=copies["image_id"])
    return pd.concat([part, copies.assign(path=copies["image_id"])]).sort_values("image_id")


def _append(part: pd.DataFrame, path: Path) -> None:
    part.to_csv(path, mode="a", header=not path.exists(), index=False, lineterminator="\n")


def run_step(step: str) -> None:
    """Run a step that is only a part of a stage, in the folder of the project."""
    if step == "manifest":
        manifest.write(manifest.read(Path("data/resized.csv")), Path("data/again.csv"))
        return
    table = manifest.read(Path("features/clusters.csv"))
    config = AllocationConfig.from_params(load_params(Path("params.yaml")).augment.model_dump())
    images = TrainImages.of_rows(manifest.rows_of_split(table.drop(columns=["path", "checksum"]), "train"))
    build_plan(step, images, config).next_copies({}, set())


def measure(command: str, project: Path) -> tuple[float, float]:
    """Run a module with options in a project, and return its seconds and the most memory that it held, in GB."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    started, most = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", *command.split()], cwd=project, env=environment) as process:
        while process.poll() is None:
            most = max(most, _own_memory(process.pid))
            time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return time.perf_counter() - started, most / 1e9


def _own_memory(pid: int) -> int:
    """Return the bytes that a process does not share with files; 0 if it has just ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith(("RssAnon", "RssShmem")))


def rows_of(n_images: int) -> Iterator[str]:
    """Measure each step with so many images, and yield its row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        changes = {
            "data.sheet": "labels.csv", "sheet.format": "csv", "cluster.algorithm": "minibatch", "augment.target": 0.5,
        }  # fmt: skip
        project = make_workspace(Path(temporary) / "project", changes)
        make_tables(n_images, project)
        for name, command in STEPS.items():
            seconds, memory = measure(command, project)
            yield f"| {n_images:,} | {name} | {seconds:.0f} | {memory:.2f} |"


def main() -> None:
    """Measure the numbers of images that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument("--step", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        run_step(args.step)
        return
    lines = [line for count in args.counts for line in rows_of(count)]
    section = (
        f"## tables\n\nTables of made-up images with {len(LABELS)} labels and {FEATURES} features; the last step has a "
        f"copy of every {PERIOD}th image.\n\n"
        + measured_by(" ".join(["benchmarks.tables", *map(str, args.counts)]), ("pandas", "pyarrow", "scikit-learn"))
        + "\n\n| images | step | seconds | memory, GB |\n|---:|:---|---:|---:|\n"
        + "\n".join(lines)
        + "\n"
    )
    write_section("tables", section)


if __name__ == "__main__":
    main()
