"""Disturb a stage in the course of its writes, run it again, and compare what comes out with an undisturbed run.

    python -m tests.pipeline.disturbing STAGE --by kill --points 50 --outs data/resized ... -- the stage's options

The stage is killed, or the disk fails once (``--by error``): the system call ends in EIO and ENOSPC, by turns.

A point is a moment at which the stage has opened a file to write, has written half of a piece of it, or is about to
rename, link or delete one. All renames are tried, and as many of the other points as asked for, drawn by the seed;
``--renames`` draws of the renames, too.
The stage is imported once; each run is a fork of that process, so that a point costs no more than the stage's own work.
"""

import argparse
import ast
import builtins
import errno
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
from functools import partial
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.base.limits import disk_message

CACHE = Path(".counterweight")
FAILURES = (errno.EIO, errno.ENOSPC)
CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


class Points:
    """Counts the points that a process passes, and disturbs it at one of them.

    Parameters
    ----------
    at : int or None
        The point at which to disturb; None to only count.
    answer : int or None
        The number of the system error to raise there; None to be killed.
    """

    def __init__(self, at: int | None, answer: int | None) -> None:
        self.at = at
        self.answer = answer
        self.process = os.getpid()
        self.passed: list[str] = []

    def here(self, kind: str, before: Callable[[], object] = lambda: None, file: str | None = None) -> None:
        """Pass a point of a kind; at the one do something, and die or fail."""
        if os.getpid() != self.process:
            return  # A worker, forked from it.
        self.passed.append(kind)
        if len(self.passed) - 1 == self.at:
            before()
            if self.answer is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise OSError(self.answer, os.strerror(self.answer), file)

    def watch(self) -> None:
        """See every file that this process writes below the working folder, from now on."""
        real, root = io.open, str(Path.cwd())

        def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            handle = real(file, mode, *rest, **options)
            writes = not mode.startswith("r") or "+" in mode
            if not writes or isinstance(file, int) or not str(Path(file).absolute()).startswith(root):
                return handle
            self.here("open", handle.close, str(file))
            return Halved(handle, self)

        io.open = builtins.open = opened  # type: ignore[assignment]
        sys.addaudithook(lambda event, of: self.here(event, file=str(of[0])) if event in CHANGES else None)


class Halved:
    """A file with a point in the middle of each write."""

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


def forked(
    main: Callable[[Sequence[str]], object], options: Sequence[str], watched: Callable[[], Points] | None = None
) -> tuple[str, list[str]]:
    """Run a stage in a fork.

    Returns
    -------
    ended : str
        "done", "killed", what a user would be told, or a traceback.
    passed : list of str
        The kinds of the points that it passed, if it was watched and is done.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reading)
        passed: list[str] = []
        try:
            if watched is not None:
                points = watched()
                points.watch()
                passed = points.passed
            main(options)
            ended = "done"
        except InputError as error:
            ended = str(error)
        except OSError as error:
            ended = disk_message(error) or traceback.format_exc()
        except BaseException:
            ended = traceback.format_exc()
        os.write(writing, json.dumps([ended, passed]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        return "killed", []
    ended, passed = json.loads(answer)
    return ended, passed


def imported(stage: str) -> Callable[[Sequence[str]], object]:
    """Import a stage and the modules that it imports when it runs, so that forks need not; return its main."""
    module = importlib.import_module(f"stages.{stage}")
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("counterweight."):
            importlib.import_module(str(node.module))
    return module.main


def contents(outs: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of every file in the outputs, whatever its name."""
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
    """Disturb, repeat, compare; print the number of points, how the tried ones ended and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("--by", choices=("kill", "error"), required=True)
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--renames", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outs", type=Path, nargs="+", required=True)
    own = sys.argv[1 : sys.argv.index("--")]
    args, options = parser.parse_args(own), sys.argv[sys.argv.index("--") + 1 :]
    os.environ["COUNTERWEIGHT_WORKERS"] = "1"
    stage = imported(args.stage)

    remove([*args.outs, CACHE])
    ended, kinds = forked(stage, options, lambda: Points(None, None))
    assert ended == "done", ended
    expected = contents(args.outs)
    renames = [i for i, kind in enumerate(kinds) if kind == "os.rename"]
    others = [i for i in range(len(kinds)) if i not in renames]
    chosen = random.Random(args.seed)
    tried = sorted(
        {
            *chosen.sample(renames, min(len(renames), args.renames)),
            *chosen.sample(others, min(len(others), args.points)),
        }
    )
    ends, wrong = [], []
    for number, point in enumerate(tried):
        where, answer = f"point {point} ({kinds[point]})", None if args.by == "kill" else FAILURES[number % 2]
        remove([*args.outs, CACHE])
        ended, _ = forked(stage, options, partial(Points, point, answer))
        ends.append(ended)
        if args.by == "kill" and ended != "killed":
            wrong.append(f"{where} was not reached")
        if "Traceback" in ended:
            wrong.append(f"{where}: {ended}")
        partly = {name: sha for name, sha in contents(args.outs).items() if expected.get(name) != sha}
        wrong += [f"{where}: {name} is visible half-written" for name in partly]
        remove(args.outs)
        again, _ = forked(stage, options)
        if again != "done" or contents(args.outs) != expected:
            wrong.append(f"{where}: {again}, with other outputs, after another run")
    print(json.dumps({"points": len(kinds), "renames": len(renames), "ends": ends, "wrong": wrong}))


if __name__ == "__main__":
    main()
