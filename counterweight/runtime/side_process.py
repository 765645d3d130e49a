"""A command that runs beside a stage, loads its modules meanwhile, and answers one question."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).parents[2]


class SideProcess:
    """A process of ``python -m`` that reads a question as JSON from its input and prints the answer.

    It exits with the stage, whose end closes its input without a question.

    Parameters
    ----------
    module : str
        Dotted name of the module. The stage does not import it, so no output may depend on the answer.
    *options : str
        Command-line options of the module.
    """

    def __init__(self, module: str, *options: str) -> None:
        self.process: subprocess.Popen[str] | None = None
        paths = [str(_PROJECT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        with suppress(OSError):
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *options],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )

    def ask(self, question: Mapping[str, Any], timeout: float) -> list[str]:
        """Return the lines of the answer, none if the process fails or takes over ``timeout`` seconds."""
        if self.process is None:
            return []
        with self.process as process:
            try:
                answer, _ = process.communicate(json.dumps(question, default=str), timeout=timeout)
            except (OSError, subprocess.SubprocessError, ValueError):
                process.kill()
                return []
        return answer.splitlines() if process.returncode == 0 else []
