"""Write the lock that is installed on this computer, by requirements.lock.

    python tools/locks.py cpu OUT
    python tools/locks.py extra OUT requirements-NAME.lock

`cpu` puts PyTorch's CPU wheels into requirements.lock, and leaves NVIDIA's libraries out. uv looks up the wheels of
the locked versions, and their hashes, in PyTorch's own index. All other hashes are those of requirements.lock. `extra`
takes from the lock of an extra what requirements.lock lacks.

The exit code is 3 if PyTorch's index cannot be reached. The standard library is all that this needs, since it runs
before anything is installed.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TORCH = re.compile(r"torch(vision)?==")
FOR_GPUS = re.compile(r"(cuda|nvidia)-|triton==")
NOT_REACHED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Write the lock, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cpu").add_argument("out", type=Path)
    extra = commands.add_parser("extra")
    extra.add_argument("out", type=Path)
    extra.add_argument("extra", type=Path)
    options = parser.parse_args(argv)
    lock = split_lock(options.lock.read_text(encoding="utf-8"))
    if options.command == "extra":
        text = extra_lock(lock, split_lock(options.extra.read_text(encoding="utf-8")))
    else:
        found = look_up([entry.split()[0] for entry in lock if TORCH.match(entry)])
        if found.returncode:
            reason = (found.stderr.strip() or "uv says nothing").splitlines()[-1].removeprefix("  cause: ")
            sys.stderr.write(
                f"PyTorch's CPU wheels cannot be looked up: {reason}. The wheels of {options.lock} serve as well, and "
                "take 5 GB more. To try again: rm .venv/installed && make .venv/installed\n"
            )
            return NOT_REACHED
        text = cpu_lock(lock, found.stdout)
    options.out.write_text(text, encoding="utf-8")
    return 0


def look_up(pins: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Let uv, which is beside this Python, print the entries of a lock for the CPU wheels of pinned packages."""
    uv, python = Path(sys.executable).with_name("uv"), sys.executable
    options = ["--no-config", "--system-certs", "--quiet", "--no-header", "--no-deps", "--generate-hashes"]
    return subprocess.run(
        [uv, "pip", "compile", *options, "--torch-backend", "cpu", "--python", python, "-"],
        input="\n".join(pins),
        env={"UV_HTTP_RETRIES": "1", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def split_lock(text: str) -> list[str]:
    """Split a lock into its entries, each with its hashes and the comments after them."""
    return re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]


def cpu_lock(lock: Sequence[str], wheels: str) -> str:
    """Put other entries for PyTorch into a lock, and leave out what PyTorch needs for GPUs only.

    Parameters
    ----------
    lock : sequence of str
        Entries of the lock.
    wheels : str
        The entries of PyTorch's CPU wheels.
    """
    return "".join(entry for entry in lock if not (TORCH.match(entry) or FOR_GPUS.match(entry))) + wheels


def extra_lock(lock: Sequence[str], extra: Sequence[str]) -> str:
    """Return the entries of an extra's lock for packages that the other lock does not have."""
    names = {entry.partition("==")[0] for entry in lock}
    return "".join(entry for entry in extra if entry.partition("==")[0] not in names)


if __name__ == "__main__":
    sys.exit(main())
