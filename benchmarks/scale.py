"""How time, memory and DVC's own share grow with the number of images.

    python -m benchmarks.scale [1000 8000 60000]

The images are put together from those of the bundled example: four of them, each in other colors, so that no two are
alike. They have 128 x 128 pixels, or 32 x 32 from 300,000 images on; a million take three quarters of an hour. For each
number the pipeline runs up to the balanced sheet, then again with nothing changed, then `dvc status`. What each stage
logs goes into a table in benchmarks/README.md; a number that is not named keeps its rows.
"""

import argparse
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from threading import Event, Thread

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import measured_by, read_rows, stage_seconds, write_section
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet
from tests.workspace import PROJECT, make_workspace, run

EXAMPLE = PROJECT / "data/example"
HEAD = (
    "| images | stage | stage's seconds | ms an image | peak memory of a process, GB | measured |\n"
    "|---:|:---|---:|---:|---:|:---|\n"
)
# Pixels of a side of one of the four; the example's images are of several sizes.
TILE, SMALL_TILE = 64, 16
# Images from which on they are small.
MANY = 300_000
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
        with dvc_memory() as peak:
            log = run(project, "dvc", "repro", "sheet").stderr
        whole = time.perf_counter() - started
        seconds = stage_seconds(log)
        memory = dict(re.findall(r"^(\w+): .*at most ([\d.]+) GB", log, re.MULTILINE))
        copies = int(re.findall(r"^augment: (\d+) copies", log, re.MULTILINE)[0])
        named = {"augment": f"augment, {copies:,} copies"}
        lines = [_row(count, named.get(name, name), seconds[name], float(memory[name])) for name in STAGES]
        rest = whole - sum(seconds.values())
        lines.append(_row(count, "start-up of the stages, and DVC", rest, peak[0]))
        unchanged = {"dvc repro": ("repro", "sheet"), "dvc status": ("status", "--with-deps", "sheet")}
        for what, command in unchanged.items():
            started = time.perf_counter()
            with dvc_memory() as peak:
                run(project, "dvc", *command)
            elapsed = time.perf_counter() - started
            lines.append(_row(count, f"nothing changed: {what}", elapsed, peak[0]))
    return lines


def _row(count: int, what: str, seconds: float, memory: float) -> str:
    return f"| {count:,} | {what} | {seconds:.1f} | {1000 * seconds / count:.2f} | {memory:.2f} | {date.today()} |"


@contextmanager
def dvc_memory() -> Iterator[list[float]]:
    """Yield a list whose only item becomes the peak memory of this process's own children, in GB."""
    peak, ended = [0.0], Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for file in Path("/proc/self/task").glob("*/children"):
                with suppress(OSError, StopIteration):  # It has just ended.
                    for child in file.read_text(encoding="ascii").split():
                        status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
                        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
                        peak[0] = max(peak[0], 1024 * int(line.split()[1]) / 1e9)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def write(lines: Sequence[str]) -> None:
    """Write the section."""
    section = (
        "## scale\n\nThe example's params, up to the balanced sheet; pictures of 2 x 2 of the example's, of 128 x 128 "
        "pixels, or of 32 x 32 from 300,000 on.\n\n"
        + measured_by("benchmarks.scale", ("dvc", "torch", "scikit-learn", "imaug"))
        + f" The versions are those of the last rows.\n\n{HEAD}"
        + "\n".join(lines)
        + "\n"
    )
    write_section("scale", section)


def main() -> None:
    """Measure the numbers of images that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1_000, 8_000, 60_000])
    counts = parser.parse_args().counts
    kept = defaultdict(list)
    for row in read_rows("scale"):
        kept[int(row[0].replace(",", ""))].append(f"| {' | '.join(row)} |")
    for count in counts:
        kept[count] = rows_of(count)
        write([line for _, lines in sorted(kept.items()) for line in lines])


if __name__ == "__main__":
    main()
