"""What every stage's command line has in common: its options, its log and its exit code."""

import argparse
import errno
import gc
import logging
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.base.timing import said

# What the disk says, and nobody here can mend.
DISK = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def arguments(doc: str | None, argv: Sequence[str] | None, *paths: str, params: bool = True) -> argparse.Namespace:
    """Parse a stage's options: one required path for each name, and the params file.

    Parameters
    ----------
    doc : str or None
        The stage's docstring, which ``--help`` shows, wrapped to the terminal.
    argv : sequence of str or None
        The options, without the program's name; None takes the process's own.
    *paths : str
        Names of the path options, in the order in which ``--help`` lists them.
    params : bool
        Whether there is a params file, ``params.yaml`` unless the options say otherwise.

    Returns
    -------
    argparse.Namespace
        A ``pathlib.Path`` for each name, and for ``params``.
    """
    parser = argparse.ArgumentParser(
        prog=program(), description=wrapped(doc or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
    if params:
        parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    return parser.parse_args(argv)


def wrapped(text: str) -> str:
    r"""Text in lines that fit the terminal: an indented line goes on with the one above.

    Examples
    --------
    >>> wrapped("Resize.\n\nReads   data/manifest.csv,\n        data/images/")
    'Resize.\n\nReads   data/manifest.csv, data/images/'
    """
    width = shutil.get_terminal_size().columns - 2
    lines = re.sub(r"\n +", " ", text.strip()).split("\n")
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False)
        for line in lines
    )


def program() -> str | None:
    """What the user has typed: the module, where ``python -m`` started one."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec else None


def run(main: Callable[[], str]) -> None:
    """Run a stage as a command: log to stderr, log its summary with the seconds it took, set the exit code.

    Parameters
    ----------
    main : callable
        The stage; it returns its summary, one line with the counts that matter.
    """
    # OpenMP's threads keep their core for some 10 ms after their work, and the processes that decode images need it.
    # So many turns of that loop outlast the gap between two layers.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # Python looks for garbage each time that 700 objects were made: for none, and a tenth of the time, where PyTorch is
    # loaded.
    gc.set_threshold(50_000)
    stage = Path(sys.argv[0]).stem
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"{stage}: %(message)s")
    logging.captureWarnings(True)  # What a library warns of begins with the stage's name too.
    log = logging.getLogger(stage)
    started = time.perf_counter()
    try:
        summary = main()
    except InputError as error:
        log.error("%s", error)
        sys.exit(1)
    except OSError as error:
        # The disk, or a right to it; anything else may be a mistake of ours, which needs its traceback.
        if error.errno not in DISK or (error.filename is None and error.errno != errno.EIO):
            raise
        where = error.filename or "a disk"
        log.error("%s: %s. Look after the file and its disk, then run dvc repro.", where, error.strerror)
        sys.exit(1)
    elapsed = time.perf_counter() - started
    log.info("%s, in %.1f s", summary, elapsed)
    log.info("%s", said(elapsed))
    # Python would look through all objects for garbage once more, for a second and more where PyTorch is loaded.
    gc.freeze()


def worker_count() -> int:
    """Worker processes to use: ``COUNTERWEIGHT_WORKERS``, or as many as this process may use cores.

    Raises
    ------
    InputError
        If the variable is not a whole number of at least 1.
    """
    value = os.environ.get("COUNTERWEIGHT_WORKERS")
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not value.isdecimal() or int(value) < 1:
        raise InputError(
            f"environment: COUNTERWEIGHT_WORKERS must be a whole number of at least 1, not '{value}'. "
            "Set it to the number of processes to use, or unset it to use every core."
        )
    return int(value)


def device_name() -> str:
    """Where networks run: ``COUNTERWEIGHT_DEVICE`` (``cpu``, ``cuda``, ``cuda:1``, ``mps``), by default ``auto``."""
    return os.environ.get("COUNTERWEIGHT_DEVICE", "auto")
