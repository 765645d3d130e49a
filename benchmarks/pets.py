"""Cats and dogs in class folders, four to one: the article's way, and what does best on the same images.

    python -m benchmarks.pets [pets] [pets_scratch] [pets_finetune] [--data ../shared]

Each run is a recipe, run by DVC on the project's own dvc.yaml in a temporary folder, which they share. The table goes
into benchmarks/README.md; a run that is not named keeps its row.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import README, WEIGHTS, measured_by, write_section
from recipes.catalog import recipe_values
from tests.workspace import make_workspace, run, write_params

# The arms that say something: two of the recipes make no copies.
ARMS = {"pets": ("nothing", "copies"), "pets_scratch": ("weights",), "pets_finetune": ("weights",)}
HEAD = (
    "| recipe | arm | accuracy | dog recall | cat recall | macro F1 | accuracy, tuned | dog recall, tuned "
    "| threshold | mAP | train images | training s |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def rows(name: str, arms: Sequence[str], data: Path, project: Path) -> list[str]:
    """Run a recipe, and give a row of the table for each of its arms."""
    images = str(data / "datasets/cats_dogs")
    changes = {"data.images": images, "data.sheet": images, **recipe_values(name)}
    if name == "pets_finetune":
        changes["train.weights"] = str(data / WEIGHTS)
    write_params(project / "params.yaml", changes)
    done = run(project, "dvc", "repro", *(f"evaluate@{arm}" for arm in arms))
    found = re.findall(r"train: (\d+) images, .*, in ([\d.]+) s", done.stderr)
    lines = []
    for arm, (images_seen, seconds) in zip(arms, found, strict=True):
        metrics = json.loads((project / f"results/arms/{arm}/metrics.json").read_text(encoding="utf-8"))
        plain, tuned = metrics["threshold_argmax"], metrics["threshold_tuned"]
        measured = (
            *(plain[key] for key in ("accuracy", "minority_recall", "majority_recall", "macro_f1")),
            *(tuned[key] for key in ("accuracy", "minority_recall")),
            metrics["tuned_threshold"],
            metrics["map"],
        )
        cells = [name, arm, *(f"{value:.3f}" for value in measured), images_seen, f"{float(seconds):.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Run the recipes that the command line names, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *ARMS], metavar="NAME")
    parser.add_argument("--data", type=Path, default=Path("../shared"))
    args = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    kept = re.findall(r"^\| pets\w* \| \w+ \| .*\|$", text, re.MULTILINE)
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary), {})
        for name in args.names or ARMS:
            fresh = rows(name, ARMS[name], args.data.resolve(), project)
            kept = [row for row in kept if not row.startswith(f"| {name} |")] + fresh
            write(kept)


def write(rows_of_all: Sequence[str]) -> None:
    """Write the section with all rows."""
    section = (
        "## pets\n\nCats and dogs of 32 x 32 pixels in class folders, four cats to a dog; of 2,000 test images half "
        "are dogs.\n\n"
        + measured_by("benchmarks.pets", ("torch", "torchvision", "imaug"))
        + f"\n\n{HEAD}"
        + "\n".join(rows_of_all)
        + "\n"
    )
    write_section("pets", section)


if __name__ == "__main__":
    main()
