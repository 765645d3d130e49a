"""Run the pipeline on photographs of scenes and write what came out into benchmarks/README.md.

    python -m benchmarks.real_input [--data ../shared]

It is one `dvc repro` in a temporary folder, by the project's own dvc.yaml. It needs the photographs and weights that
the README names under --data, and changes nothing there.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import yaml
from sklearn.metrics import normalized_mutual_info_score

from benchmarks.common import data_folder, measured_by, scenes, write_section
from counterweight.base import manifest
from tests.workspace import make_workspace, run


def report(changes: Mapping[str, Any], folder: Path, data: Path, seconds: float) -> str:
    """What the run gave, as a section of the README."""
    clusters = manifest.read(folder / "features/clusters.csv")
    train = manifest.rows_of_split(clusters, "train")
    sets = ["".join(map(str, row)) for row in manifest.targets(train)]
    nmi = normalized_mutual_info_score(sets, train["cluster"].astype(int))
    augment = json.loads((folder / "augmented/augment.json").read_text())
    labels = pd.read_csv(folder / "augmented/labels.csv")
    comparison = pd.read_csv(folder / "results/comparison.csv", dtype={"label": str})
    overall = comparison[comparison["label"] == "all"].drop(columns="label")
    per_label = comparison[comparison["measure"].isin(["average_precision", "f1_tuned", "recall_tuned"])]
    before = [int(count) for count in train["cluster"].value_counts().sort_index()]
    settings = {
        key: value.replace(str(data), "DATA") if isinstance(value, str) else value for key, value in changes.items()
    }
    return "\n".join(
        [
            "## scenes",
            "",
            "Photographs of scenes, deserts and sunsets rare; a linear head on a frozen ResNet-18.",
            "",
            measured_by("benchmarks.real_input", ("torch", "scikit-learn", "imaug", "dvc"), seconds),
            "",
            "Params that differ from the project's params.yaml:",
            "",
            "```yaml",
            yaml.safe_dump(settings, sort_keys=False).strip(),
            "```",
            "",
            f"- Train images by cluster: {before} before, {list(augment['sizes'].values())} after "
            f"({augment['copies']} copies, {augment['rejected_draws']['uniform']} drawn again for being uniform, "
            f"{augment['rejected_draws']['contrast']} for lost contrast, {augment['unfit_images']} unfit images).",
            f"- Normalized mutual information of clusters and label sets: {nmi:.3f}.",
            f"- MeanIR of train: {augment['before']['mean_ir']:.3f} before, {augment['after']['mean_ir']:.3f} after; "
            f"SCUMBLE {augment['before']['scumble']:.4f} before, {augment['after']['scumble']:.4f} after.",
            f"- {checked_rows(changes, folder)}",
            "",
            labels.to_markdown(index=False, floatfmt=".2f"),
            "",
            "On the test images, both arms with the same settings:",
            "",
            overall.to_markdown(index=False, floatfmt=".3f"),
            "",
            per_label.to_markdown(index=False, floatfmt=".3f"),
            "",
        ]
    )


def checked_rows(changes: Mapping[str, Any], folder: Path) -> str:
    """Compare the balanced sheet's test rows with the input's, cell by cell, by openpyxl; raise if they differ."""

    def test_rows(path: str | Path) -> list[tuple[Any, ...]]:
        head, *rows = openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
        return [row for row in rows if row[head.index("split")] == "test"]

    given, returned = test_rows(changes["data.sheet"]), test_rows(folder / "augmented/balanced.xlsx")
    width = len(given[0])
    if [row[:width] for row in returned] != given or any(any(row[width:]) for row in returned):
        raise AssertionError("the test rows of the balanced sheet are not those of the input")
    return f"Test rows of the balanced sheet: {len(returned)}, equal to the input's cell by cell."


def main() -> None:
    """Run the pipeline and write its section."""
    data = data_folder(__doc__)
    changes = scenes(data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_workspace(Path(temporary) / "project", changes)
        started = time.perf_counter()
        run(folder, "dvc", "repro")
        write_section("scenes", report(changes, folder, data, time.perf_counter() - started))


if __name__ == "__main__":
    main()
