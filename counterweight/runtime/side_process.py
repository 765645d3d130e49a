"""A command that loads its modules while a stage works, and goes on when the stage is done."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path


class SideProcess:
    """A process of ``python -m`` that waits for a line on its input before it works.

    It exits with the stage, whose end closes its input without a line.

    Parameters
    ----------
    module : str
        Dotted name of the module. The stage does not import it, so no output may depend on what it prints.
    *options : str or Path
        Command-line options of the module.
    """

    def __init__(self, module: str, *options: str | Path) -> None:
        self.process: subprocess.Popen[str] | None = None
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with suppress(OSError):
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *options], stdin=pipe, stdout=pipe, stderr=null, encoding="utf-8"
            )

    def finish(self, timeout: float) -> list[str]:
        """Return the lines that the process prints, none if it fails or takes over ``timeout`` seconds."""
        if self.process is None:
            return []
        with self.process as process:
            try:
                printed, _ = process.communicate("go\n", timeout)
            except (OSError, subprocess.SubprocessError):
                process.kill()
                return []
        return printed.splitlines() if process.returncode == 0 else []
