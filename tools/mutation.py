"""Change the code of rooms in small ways, one at a time, and count the changes that their tests notice.

    python -m tools.mutation metrics evidence [--processes 2]

mutmut makes the changes ("mutants") and runs the tests of each, in a copy of the files that git knows. The command
prints what became of the mutants and, by function, those that survived. 2,000 of them take a quarter of an hour.
What a process computes once and keeps, such as the network of `median_filter`, is from before the change, so that its
mutants survive although its tests would fail.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent
MUTMUT = "mutmut==3.8.1"
# Results that tests noticed: a mutant that never ends has changed the behavior, too.
NOTICED = ("killed", "timeout", "segfault")


def main(argv: Sequence[str] | None = None) -> int:
    """Run mutmut and print the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "rooms", nargs="+", metavar="ROOM", help="such as metrics, or one module, such as metrics/platt"
    )
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        _copy_project(copy)
        (copy / "setup.cfg").write_text(_settings(args.rooms), encoding="utf-8")
        packages = Path(folder) / "packages"
        uv = f"uv pip install --quiet --system-certs --python {sys.executable} --target {packages} {MUTMUT}"
        subprocess.run(uv.split(), check=True)
        environment = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{copy}", "OMP_NUM_THREADS": "1"}
        mutmut = [sys.executable, "-W", "ignore", "-m", "mutmut"]
        subprocess.run([*mutmut, "run", "--max-children", str(args.processes)], cwd=copy, env=environment, check=True)
        results = subprocess.run(
            [*mutmut, "results", "--all", "true"], cwd=copy, env=environment, check=True, capture_output=True, text=True
        )
    print("\n".join(score(results.stdout.splitlines())))
    return 0


def score(results: Sequence[str]) -> list[str]:
    """Return the lines that show how many mutants were noticed, and where the others are.

    Examples
    --------
    >>> score(["    a.x_f__mutmut_1: killed", "    a.x_f__mutmut_2: survived"])
    ['2 mutants, 1 noticed (50.0 %)', '   1 survived in a.f']
    """
    pairs = [line.strip().rpartition(": ")[::2] for line in results if "__mutmut_" in line]
    noticed = sum(result in NOTICED for _, result in pairs)
    names = (
        re.sub(r"\.x(_|ǁ)", ".", name.rpartition("__mutmut_")[0]).replace("ǁ", ".")
        for name, result in pairs
        if result not in NOTICED
    )
    survived = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    share = 100 * noticed / max(len(pairs), 1)
    return [
        f"{len(pairs)} mutants, {noticed} noticed ({share:.1f} %)",
        *(f"{count:4d} survived in {name}" for name, count in survived),
    ]


def _copy_project(copy: Path) -> None:
    """Copy the files that git knows, with pytest's options reduced to those that mutmut can do with."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy / name)
    config = copy / "pyproject.toml"
    lines = config.read_text(encoding="utf-8").splitlines()
    config.write_text("\n".join('addopts = "-q"' if line.startswith("addopts") else line for line in lines) + "\n")


def _settings(rooms: Sequence[str]) -> str:
    """Return mutmut's setup.cfg."""
    modules = [room if (PROJECT / "counterweight" / room).is_dir() else f"{room}.py" for room in rooms]
    values = {
        "source_paths": [f"counterweight/{module}" for module in modules],
        "pytest_add_cli_args_test_selection": sorted({f"tests/{room.partition('/')[0]}" for room in rooms}),
        "also_copy": sorted(entry.name for entry in PROJECT.iterdir() if _is_needed(entry)),
    }
    lines = [line for key, entries in values.items() for line in (f"{key}=", *(f"    {entry}" for entry in entries))]
    return "\n".join(["[mutmut]", *lines, ""])


def _is_needed(entry: Path) -> bool:
    return not entry.name.startswith(".") and entry.name not in ("results", "augmented", "features")


if __name__ == "__main__":
    sys.exit(main())
