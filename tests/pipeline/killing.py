"""Kill a stage in the course of its writes, run it again, and compare what comes out with an undisturbed run.

    python -m tests.pipeline.killing STAGE --points 50 --seed 0 --outs data/resized ... -- the stage's options

A point is a moment at which the stage has opened a file to write, has written half of a piece of it, or is about to
rename, link or delete one. Of the renames, and of the other points, as many are tried as asked for, drawn by the seed.
The stage is imported once; each run is a fork of that process, so that a point costs no more than the stage's own work.
"""

import argparse
import builtins
import hashlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CACHE = Path(".counterweight")
CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


class Points:
    """Counts the points that a process passes, and ends it at one of them.

    Parameters
    ----------
    last : int or None
        The point at which the process kills itself; None for never.
    """

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.process = os.getpid()
        self.passed: list[str] = []

    def here(self, kind: str, before: Callable[[], object] = lambda: None) -> None:
        """Pass a point of a kind; at the last one do something and die."""
        if os.getpid() != self.process:
            return  # A worker, forked from it.
        self.passed.append(kind)
        if len(self.passed) - 1 == self.last:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """See every file that this process writes below the working folder, from now on."""
        real, root = io.open, str(Path.cwd())

        def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            handle = real(file, mode, *rest, **options)
            writes = not mode.startswith("r") or "+" in mode
            if not writes or isinstance(file, int) or not str(Path(file).absolute()).startswith(root):
                return handle
            self.here("open")
            return Halved(handle, self)

        io.open = builtins.open = opened  # type: ignore[assignment]
        sys.addaudithook(lambda event, _: self.here(event) if event in CHANGES else None)


class Halved:
    """A file of which a point lies in the middle of each write."""

    def __init__(self, file: Any, points: Points) -> None:
        self.file = file
        self.points = points

    def write(self, data: Any) -> Any:
        """Write all of it, unless the process dies after half."""
        self.points.here("write", lambda: (self.file.write(data[: len(data) // 2]), self.file.flush()))
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Halved":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def forked(main: Callable[[Sequence[str]], object], options: Sequence[str], last: int | None) -> tuple[int, list[str]]:
    """Run a stage in a fork; the signal that ended it, or 0, and the kinds of the points that it passed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reading)
        points = Points(last)
        points.watch()
        code = 1
        try:
            main(options)
            os.write(writing, "\n".join(points.passed).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        passed = pipe.read().split()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status), passed
    if os.WEXITSTATUS(status):
        raise SystemExit("the stage failed, and was not killed")
    return 0, passed


def contents(outs: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of every file in the outputs that are there, whatever its name."""
    files = [file for out in outs for file in ([out] if out.is_file() else sorted(out.rglob("*"))) if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def remove(outs: Sequence[Path]) -> None:
    """Delete the outputs, as DVC does before it runs a stage."""
    for out in outs:
        if out.is_dir():
            shutil.rmtree(out)
        else:
            out.unlink(missing_ok=True)


def main() -> None:
    """Kill, repeat, compare; print how many points there were, were tried, and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outs", type=Path, nargs="+", required=True)
    own = sys.argv[1 : sys.argv.index("--")]
    args, options = parser.parse_args(own), sys.argv[sys.argv.index("--") + 1 :]
    os.environ["COUNTERWEIGHT_WORKERS"] = "1"
    stage = importlib.import_module(f"stages.{args.stage}").main

    remove([*args.outs, CACHE])
    _, kinds = forked(stage, options, None)
    expected = contents(args.outs)
    renames = [i for i, kind in enumerate(kinds) if kind == "os.rename"]
    others = [i for i in range(len(kinds)) if i not in renames]
    chosen = random.Random(args.seed)
    tried = sorted(
        {*chosen.sample(renames, min(len(renames), args.points)), *chosen.sample(others, min(len(others), args.points))}
    )
    wrong = []
    for point in tried:
        remove([*args.outs, CACHE])
        ended, _ = forked(stage, options, point)
        if ended != signal.SIGKILL:
            wrong.append(f"point {point} ({kinds[point]}) was not reached")
            continue
        partly = {name: sha for name, sha in contents(args.outs).items() if expected.get(name) != sha}
        wrong += [f"point {point} ({kinds[point]}): {name} is visible half-written" for name in partly]
        remove(args.outs)
        forked(stage, options, None)
        if contents(args.outs) != expected:
            wrong.append(f"point {point} ({kinds[point]}): other outputs after another run")
    print(json.dumps({"points": len(kinds), "renames": len(renames), "tried": len(tried), "wrong": wrong}))


if __name__ == "__main__":
    main()
