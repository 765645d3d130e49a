"""How long the stages up to the balanced sheet take to start, and what DVC takes beside them.

    python -m benchmarks.start_up

Each command of dvc.yaml runs on the bundled example, once more with Python's `-X importtime`: the sum of what all
modules take is the start-up of the stage. DVC's share is what `dvc repro --force` takes beyond the commands.
The table goes into benchmarks/README.md.
"""

import argparse
import re
import shlex
import tempfile
import time
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from benchmarks.common import measured_by, write_section
from benchmarks.scale import STAGES
from tests.workspace import PROJECT, make_workspace, run

# Libraries of which some stages need none.
LIBRARIES = ("pandas", "pydantic", "scipy", "sklearn", "torch")


def command_of(stage: str) -> list[str]:
    """Return the command of a stage, as DVC runs it."""
    stages = YAML(typ="safe", pure=True).load(PROJECT / "dvc.yaml")["stages"]
    return shlex.split(stages[stage]["cmd"].replace("${sheet.format}", "xlsx"))


def start_up(project: Path, command: list[str]) -> tuple[float, str]:
    """Return the seconds that a stage's modules take to import, and which of the large libraries are among them."""
    log = run(project, command[0], "-X", "importtime", *command[1:], COUNTERWEIGHT_WORKERS="1").stderr
    lines = re.findall(r"^import time: +(\d+) \| +\d+ \| *(\S+)", log, re.MULTILINE)
    modules = {name for _, name in lines}
    return sum(int(own) for own, _ in lines) / 1e6, ", ".join(name for name in LIBRARIES if name in modules)


def timed(project: Path, *command: str) -> float:
    """Return the seconds that a command takes."""
    started = time.perf_counter()
    run(project, *command)
    return time.perf_counter() - started


def main() -> None:
    """Measure all stages."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        example = PROJECT / "data/example"
        changes = {
            "data.images": str(example / "images"), "data.sheet": str(example / "labels.xlsx"),
            "features.weights": str(example / "handwriting.safetensors"),
        }  # fmt: skip
        project = make_workspace(Path(temporary), changes)
        run(project, "dvc", "repro", "sheet")
        whole, rows = timed(project, "dvc", "repro", "--force", "sheet"), []
        for stage in STAGES:
            command = command_of(stage)
            seconds = timed(project, *command)
            imports, libraries = start_up(project, command)
            rows.append({"stage": stage, "start-up, s": imports, "command, s": seconds, "it imports": libraries})
    table = pd.DataFrame(rows)
    commands, imports = table["command, s"].sum(), table["start-up, s"].sum()
    section = (
        "## start_up\n\nThe bundled example, with everything in the cache of finished work.\n\n"
        + measured_by("benchmarks.start_up", ("dvc", "torch", "pandas", "scikit-learn"))
        + "\n\n"
        + table.round(2).to_markdown(index=False)
        + f"\n\nAll commands: {commands:.1f} s, of which start-up {imports:.1f} s. `dvc repro --force` took "
        f"{whole:.1f} s, so DVC itself {whole - commands:.1f} s.\n"
    )
    write_section("start_up", section)


if __name__ == "__main__":
    main()
