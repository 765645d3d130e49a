"""Run a stage on a file system that is nearly full, free some room, run it again, and compare what comes out.

    python -m tests.pipeline.filling STAGE --outs data/resized ... -- the stage's options

The working folder is to be on a small file system of its own. The room that is left is a part of what the stage writes,
cache and all. The stage is imported once; each run is a fork of that process.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from tests.pipeline.disturbing import CACHE, contents, forked, imported, remove

PARTS = (0.0, 0.15, 0.4, 0.7, 0.95)
FILLER = Path("filler")


def leave(room: int) -> None:
    """Fill the file system until so many bytes are free."""
    missing = shutil.disk_usage(".").free - room
    with FILLER.open("wb") as file:
        while missing > 0:
            file.write(bytes(min(missing, 2**20)))
            missing -= 2**20


def main() -> None:
    """Fill, run, free, run, compare; print how each run ended and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("--outs", type=Path, nargs="+", required=True)
    args = parser.parse_args(sys.argv[1 : sys.argv.index("--")])
    options = sys.argv[sys.argv.index("--") + 1 :]
    os.environ["COUNTERWEIGHT_WORKERS"] = "1"
    stage = imported(args.stage)

    remove([*args.outs, CACHE])
    before = shutil.disk_usage(".").free
    assert forked(stage, options)[0] == "done"
    needed, expected = before - shutil.disk_usage(".").free, contents(args.outs)
    ends, wrong = [], []
    for part in PARTS:
        remove([*args.outs, CACHE])
        leave(int(needed * part))
        ended, _ = forked(stage, options)
        ends.append(ended)
        if "Traceback" in ended:
            wrong.append(f"{part}: {ended}")
        partly = {name: sha for name, sha in contents(args.outs).items() if expected.get(name) != sha}
        wrong += [f"{part}: {name} is visible half-written" for name in partly]
        wrong += [f"{part}: {left} was left" for left in Path().rglob(".*.partial")]
        FILLER.unlink()
        remove(args.outs)
        assert forked(stage, options)[0] == "done"
        if contents(args.outs) != expected:
            wrong.append(f"{part}: other outputs after another run")
    print(json.dumps({"needed": needed, "ends": ends, "wrong": wrong}))


if __name__ == "__main__":
    main()
