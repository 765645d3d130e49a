"""Write a lock for computers without a GPU: requirements.lock with PyTorch's CPU wheels, without NVIDIA's libraries.

    python tools/cpu_lock.py OUT [--lock requirements.lock]

uv looks up the CPU wheels of the locked versions, and their hashes, in PyTorch's own index. All other hashes are those
of requirements.lock. The exit code is 1 if that index cannot be reached. The standard library is all that this needs,
since it runs before anything is installed.
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


def main(argv: Sequence[str] | None = None) -> int:
    """Write the lock, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    options = parser.parse_args(argv)
    lock = split_lock(options.lock.read_text(encoding="utf-8"))
    found = look_up([entry.split()[0] for entry in lock if TORCH.match(entry)])
    if found.returncode:
        reason = found.stderr.strip().splitlines()[-1].removeprefix("  cause: ")
        sys.stderr.write(
            f"PyTorch's CPU wheels cannot be looked up: {reason}. The wheels of {options.lock} serve as well, and take "
            "5 GB more. To try again: make TORCH=cpu .venv/installed\n"
        )
        return 1
    options.out.write_text(cpu_lock(lock, found.stdout), encoding="utf-8")
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


if __name__ == "__main__":
    sys.exit(main())
