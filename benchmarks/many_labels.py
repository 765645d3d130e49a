"""The whole pipeline with as many labels as people have at most, and what its messages and its page then weigh.

    python -m benchmarks.many_labels [--images 20000] [--labels 10000] [--input-size 224]

Pictures as in `benchmarks.scale` have one to four labels each, the n-th label in proportion to 1 / n, and every label
has at least one image. With Chromium it also measures how soon the page can be used. The table goes into
benchmarks/README.md, or, for other numbers than it shows, to the terminal.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import has_section, measured_by, write_section
from benchmarks.scale import make_images
from counterweight.sheets.sheet_writer import write_sheet
from tests.browser import CHROMIUM, look_at
from tests.workspace import PROJECT, make_workspace, run

# What does not grow with labels, or is judged elsewhere, is kept small.
CHANGES = {
    "sheet.format": "csv",
    "augment.strategy": "labels",
    "augment.target": 3,
    "augment.guard": None,
    "train.arms": ["nothing", "copies"],
    "train.optimizer": "adam",  # Two epochs: L-BFGS would take hours.
    "train.epochs": 2,
    "compare.bootstrap_samples": 200,
    "features.weights": str(PROJECT / "data/example/handwriting.safetensors"),
    "train.weights": str(PROJECT / "data/example/handwriting.safetensors"),
}
OUTPUTS = ("results", "augmented", "data", "features")


def label_images(folder: Path, n_labels: int) -> None:
    """Give the images of a sheet other labels."""
    table, rng = pd.read_csv(folder / "labels.csv", dtype=str), np.random.default_rng(0)
    shares = 1 / np.arange(1, n_labels + 1)
    rows = []
    for number, (image, split) in enumerate(zip(table["id"], table["split"], strict=True)):
        drawn = rng.choice(n_labels, size=rng.integers(0, 4), p=shares / shares.sum())
        labels = sorted({number % n_labels, *drawn.tolist()})
        rows.append([image, split, ",".join(f"label{label:05}" for label in labels)])
    write_sheet(["id", "split", "target"], rows, folder / "labels.csv", "csv")


def measure(n_images: int, n_labels: int, input_size: int) -> str:
    """Run the pipeline, and return the table and the sentences below it."""
    with tempfile.TemporaryDirectory() as temporary:
        data = make_images(n_images, Path(temporary) / "data")
        label_images(data, n_labels)
        source = {
            "data.images": str(data / "images"), "data.sheet": str(data / "labels.csv"),
            "features.input_size": input_size, "train.input_size": input_size,
        }  # fmt: skip
        project = make_workspace(Path(temporary) / "project", source | CHANGES)
        started = time.perf_counter()
        log = run(project, "dvc", "repro").stderr
        whole = time.perf_counter() - started
        seconds = re.findall(r"^(\w+): .*, in ([\d.]+) s$", log, re.MULTILINE)
        memory = re.findall(r"^\w+: .*at most ([\d.]+) GB per process$", log, re.MULTILINE)
        table = pd.DataFrame(
            [
                {"stage": name, "s": float(took), "GB": float(most)}
                for (name, took), most in zip(seconds, memory, strict=True)
            ]
        )
        longest = max(log.splitlines(), key=len)
        page = project / "results/report.html"
        weight, ready = page.stat().st_size, f", {_ready(page)}" if CHROMIUM else ""
        files = [file for part in OUTPUTS for file in (project / part).rglob("*") if file.is_file()]
        tables = [file for file in files if file.suffix in {".csv", ".json", ".html", ".npy", ".npz"}]
        largest = max(tables, key=lambda file: file.stat().st_size)
        size = largest.stat().st_size
    return (
        table.to_markdown(index=False)
        + f"\n\nThe whole: {whole:.0f} s. The longest line of the log has {len(longest):,} characters; the page has "
        f"{weight / 1e6:.1f} MB{ready}; the largest table, {largest.name}, {size / 1e6:,.0f} MB.\n"
    )


def _ready(page: Path) -> str:
    """Say how soon a browser can use the page."""
    ready = {"ready": "performance.getEntriesByType('navigation')[0].domInteractive"}
    seconds = [look_at(page, width=1280, scheme="light", questions=ready).answers["ready"] / 1000 for _ in range(5)]
    return f"and can be used {np.median(seconds):.1f} s after its opening in Chromium (the median of five)"


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--input-size", type=int, default=224)
    args = parser.parse_args()
    name = f"{args.labels} labels on {args.images} images"
    text = measure(args.images, args.labels, args.input_size)
    options = f"--images {args.images} --labels {args.labels} --input-size {args.input_size}"
    measured = measured_by(f"benchmarks.many_labels {options}", ("dvc", "torch"))
    title = f"## {args.labels:,} labels on {args.images:,} images"
    section = f"{title}\n\n{measured}\n\n{text}"
    if has_section(name):
        write_section(name, section)
    else:
        print(section)  # noqa: T201


if __name__ == "__main__":
    main()
