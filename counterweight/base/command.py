"""Command line shared by all stages: options, help text, log and exit code."""

import argparse
import gc
import logging
import multiprocessing
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from counterweight.base import timing
from counterweight.base.errors import InputError
from counterweight.base.limits import disk_message
from counterweight.base.params import Params
from counterweight.base.schema import Section

# These change speed only, never a result.
ENVIRONMENT = {
    "COUNTERWEIGHT_DEVICE": "cpu, cuda, cuda:1 or mps; by default a GPU if there is one",
    "COUNTERWEIGHT_WORKERS": "worker processes; by default one per core",
    "COUNTERWEIGHT_DEVICES": "GPUs to use on this machine; by default 1",
    "COUNTERWEIGHT_NODES": "hosts on which torchrun or Slurm starts the stage; by default 1",
    "COUNTERWEIGHT_SCHEDULER": "address of a Dask scheduler whose workers process the images; by default none",
    "COUNTERWEIGHT_CACHE": "folder that caches finished work; by default .counterweight",
    "COUNTERWEIGHT_CACHE_GB": "maximum size of the cache in gigabytes, 0 to disable it; by default 20",
    "TORCH_HOME": "folder for downloaded weights; by default PyTorch's own",
}
# How long a stage that is asked to end may take.
_GRACE_SECONDS = 20


def parse_options(
    doc: str | None,
    argv: Sequence[str] | None,
    *paths: str,
    of_params: Sequence[str] = (),
    optional: Sequence[str] = (),
    params: bool = True,
) -> argparse.Namespace:
    """Parse a stage's options: one required path per name and, if ``params``, the params file.

    Parameters
    ----------
    doc : str or None
        Text that ``--help`` shows, see `help_text`.
    argv : sequence of str or None
        Arguments without the program's name; None means ``sys.argv[1:]``.
    *paths : str
        Names of the path options, in the order of ``--help``.
    of_params : sequence of str
        Names of further path options, such as ``images``, which are by default params, ``data.images``, and then None.
        The shell would not take every name that a folder can have.
    optional : sequence of str
        Names of path options that are None by default.
    params : bool
        Whether there is an option for the params file.
    """
    parser = build_parser(doc)
    for name in of_params:
        parser.add_argument(f"--{name}", type=Path, metavar="PATH", help=f"default: data.{name}")
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
    for name in optional:
        parser.add_argument(f"--{name}", type=Path, metavar="PATH")
    if params:
        parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    return parser.parse_args(argv)


def build_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser without options, whose ``--help`` shows a text and the command that was started."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return argparse.ArgumentParser(
        prog=f"python -m {module.name}" if module else None,
        description=_wrap(help_text(doc)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _wrap(text: str) -> str:
    r"""Wrap text to the terminal's width; an indented line continues the one above.

    >>> _wrap("Resize.\n\nReads   data/manifest.csv,\n        data/images/")
    'Resize.\n\nReads   data/manifest.csv, data/images/'
    """
    width = shutil.get_terminal_size().columns - 2
    lines = re.sub(r"\n +", " ", text.strip()).split("\n")
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False)
        for line in lines
    )


def run(main: Callable[[], str]) -> None:
    """Run a stage as a command: log the lines it returns and the elapsed seconds to stderr, and set the exit code."""
    # OpenMP threads spin for some 10 ms after their work, on cores that the processes decoding images need. This many
    # iterations outlast the gap between two layers.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # joblib's tracker of semaphores, a process of its own, would warn of those that a stopped stage leaves to it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    stage = Path(sys.argv[0]).stem
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"{stage}: %(message)s")
    logging.captureWarnings(True)  # Warnings of libraries get the stage's name, too.
    # So joblib would count the tasks of a stage that is stopped.
    warnings.filterwarnings("ignore", r"\d+ tasks (which were still being|have been successfully)", UserWarning)
    log = logging.getLogger(stage)
    start = time.perf_counter()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # As of a command in the background.
            signal.signal(number, _interrupt)
    try:
        summary = main()
    except InputError as error:
        log.error("%s", error)
        sys.exit(1)
    except _InterruptedError as error:
        _end(error.number)
    except OSError as error:
        message = disk_message(error)
        if message is None:
            raise
        log.error(message)
        sys.exit(1)
    elapsed = time.perf_counter() - start
    *lines, last = summary.splitlines()
    for line in lines:
        log.info("%s", line)
    log.info("%s, in %.1f s", last, elapsed)
    log.info("%s", timing.summary(elapsed))
    # With PyTorch loaded, the last search for garbage takes half a second, and the end of the process frees all anyway.
    # PyTorch's compiler loads triton, which would complain of what is not freed before.
    if "triton" not in sys.modules:
        gc.freeze()


class _InterruptedError(KeyboardInterrupt):
    """The process was asked to end, by the signal of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _interrupt(number: int, _frame: object) -> None:
    """Raise an exception, so that worker processes are ended and half-written outputs deleted."""
    # Python drops what is raised in a callback of the garbage collector, so the process ends some time later anyway.
    timer = threading.Timer(_GRACE_SECONDS, _end, [number])
    timer.daemon = True
    timer.start()
    raise _InterruptedError(number)


def _end(number: int) -> None:
    """End the process and its children as shells do, at once, since other threads may be in the middle of work."""
    logging.getLogger(Path(sys.argv[0]).stem).error("stopped. Finished work is kept: dvc repro goes on with it")
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
    sys.stderr.flush()
    os._exit(128 + number)


def worker_count() -> int:
    """Return the number of worker processes: ``COUNTERWEIGHT_WORKERS``, by default the cores this process may use.

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
            "Set it to the number of processes, or unset it to use all cores."
        )
    return int(value)


def device_name() -> str:
    """Return the device for networks, ``COUNTERWEIGHT_DEVICE`` (``cpu``, ``cuda:1``, ``mps``), by default ``auto``."""
    return os.environ.get("COUNTERWEIGHT_DEVICE", "auto")


def help_text(doc: str | None) -> str:
    """Return a stage's docstring, followed by descriptions of its params and environment variables.

    Parameters
    ----------
    doc : str or None
        Docstring. A line ``Params  ...`` names sections of params.yaml or single params by their dotted names; a last
        paragraph ``Obeys   ...``, which is left out, names environment variables.
    """
    text = doc or ""
    head, _, obeyed = text.partition("\nObeys ")
    variables = {name: ENVIRONMENT[name] for name in ENVIRONMENT if name in re.findall(r"\w+", obeyed)}
    parts = [head.strip()]
    for title, entries in (
        ("Params, from params.yaml:", params_of(text)),
        ("Environment variables, which change speed only:", variables),
    ):
        if entries:
            parts.append("\n".join([title, *(f"{name}  {description}" for name, description in entries.items())]))
    return "\n\n".join(parts)


def params_of(doc: str) -> dict[str, str]:
    """Return the descriptions of the params that a docstring names, by dotted name; sections are expanded."""
    line = re.search(r"^Params  (.*(?:\n {8}.*)*)", doc, re.MULTILINE)
    names = re.findall(r"[\w.]+", line[1]) if line else []
    known = dict(_descriptions(Params))
    return {param: known[param] for name in names for param in known if f"{param}.".startswith(f"{name}.")}


def _descriptions(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _descriptions(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(field.description).replace("`", "")
