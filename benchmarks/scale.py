"""How time, memory and DVC's own share grow with the number of images.

    python -m benchmarks.scale [1000 8000 60000]

The images are put together from those of the bundled example: four of them, each in other colors, so that no two are
alike. They have 128 x 128 pixels, or 32 x 32 from a million images on, which take two hours. For each number the
pipeline runs up to the balanced sheet, then again with nothing changed, then `dvc status`. What each stage logs goes
into a table in benchmarks/README.md; a number that is not named keeps its rows.
"""

import argparse
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import README, measured_by, stage_seconds, write_section
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet
from tests.workspace import PROJECT, make_workspace, run

EXAMPLE = PROJECT / "data/example"
HEAD = "| images | stage | stage's seconds | ms an image | peak memory of a process, GB |\n|---:|:---|---:|---:|---:|\n"
# Pixels of a side of one of the four; the example's images are of several sizes.
TILE, SMALL_TILE = 64, 16
# Images from which on they are small.
MANY = 1_000_000
STAGES = ("ingest", "resize", "features", "impute", "cluster", "augment", "sheet")


def make_images(count: int, folder: Path, tile: int = TILE) -> Path:
    """Images of twice ``tile`` pixels and their sheet."""
    (folder / "images").mkdir(parents=True)
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    sheet = read_sheet(EXAMPLE / "labels.xlsx")
    id_at, target_at = sheet.columns.index("id"), sheet.columns.index("target")
    files = [EXAMPLE / "images" / f"{str(row[id_at]).removesuffix('.jpg')}.jpg" for row in sheet.rows]
    tiles = [cv2.resize(cv2.imread(str(file)), (tile, tile)) for file in files]
    rows = []
    for number in range(count):
        four = random.choice(len(tiles), 4, replace=False)
        parts = [_recolored(tiles[i], random) for i in four]
        picture = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
        cv2.imwrite(str(folder / f"images/{number:08}.jpg"), picture)
        # The labels of one alone, so that they stay as rare as they are.
        split = "test" if number % 20 == 0 else "train"
        rows.append([f"{number:08}.jpg", split, str(sheet.rows[four[0]][target_at])])
    write_sheet(["id", "split", "target"], rows, folder / "labels.csv", "csv")
    return folder


def _recolored(tile: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    mixed: NDArray[np.float32] = tile.astype(np.float32) @ random.dirichlet([1, 1, 1], 3).T.astype(np.float32)
    return np.asarray(np.clip(mixed * random.uniform(0.6, 1.3), 0, 255), np.uint8)


def rows_of(count: int) -> list[str]:
    """Run the pipeline on so many images, and give its rows of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        tile = SMALL_TILE if count >= MANY else TILE
        data = make_images(count, Path(temporary) / "data", tile)
        changes = {
            "data.images": str(data / "images"), "data.sheet": str(data / "labels.csv"), "sheet.format": "csv",
            "resize.width": 2 * tile, "resize.height": 2 * tile, "features.input_size": 2 * tile,
            "features.weights": str(EXAMPLE / "handwriting.safetensors"),
        }  # fmt: skip
        project = make_workspace(Path(temporary) / "project", changes)
        started = time.perf_counter()
        log = run(project, "dvc", "repro", "sheet").stderr
        whole = time.perf_counter() - started
        seconds = stage_seconds(log)
        memory = dict(re.findall(r"^(\w+): .*at most ([\d.]+) GB", log, re.MULTILINE))
        lines = [
            f"| {count:,} | {name} | {seconds[name]:.1f} | {1000 * seconds[name] / count:.2f} | {memory[name]} |"
            for name in STAGES
        ]
        rest = whole - sum(seconds.values())
        lines.append(f"| {count:,} | start-up of the stages, and DVC | {rest:.1f} | {1000 * rest / count:.2f} | |")
        unchanged = {"dvc repro": ("repro", "sheet"), "dvc status": ("status", "--with-deps", "sheet")}
        for what, command in unchanged.items():
            started = time.perf_counter()
            run(project, "dvc", *command)
            elapsed = time.perf_counter() - started
            lines.append(f"| {count:,} | nothing changed: {what} | {elapsed:.1f} | {1000 * elapsed / count:.2f} | |")
    return lines


def write(lines: Sequence[str]) -> None:
    """Write the section."""
    section = (
        "## scale\n\nThe example's params, up to the balanced sheet; pictures of 2 x 2 of the example's, of 128 x 128 "
        "pixels, or of 32 x 32 from a million on.\n\n"
        + measured_by("benchmarks.scale", ("dvc", "torch", "scikit-learn", "imaug"))
        + f"\n\n{HEAD}"
        + "\n".join(lines)
        + "\n"
    )
    write_section("scale", section)


def main() -> None:
    """Measure the numbers of images that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1_000, 8_000, 60_000])
    counts = parser.parse_args().counts
    text = README.read_text(encoding="utf-8").split("<!-- scale -->")[1]
    kept = defaultdict(list)
    for line in re.findall(r"^\| [\d,]+ \|.*$", text, re.MULTILINE):
        kept[int(line.split("|")[1].replace(",", ""))].append(line)
    for count in counts:
        kept[count] = rows_of(count)
        write([line for _, lines in sorted(kept.items()) for line in lines])


if __name__ == "__main__":
    main()
