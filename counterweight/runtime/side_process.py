"""A command that loads what it needs while a stage is at work, and answers when the stage asks it."""

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
    """A module that runs as ``python -m``, reads a question from its input and prints the answer.

    It ends by itself when the stage does: its input is then closed without a question.

    Parameters
    ----------
    module : str
        Its dotted name. It is not imported, so no output of the stage may depend on the answer.
    *options : str
        Its command line.
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
        """Lines of the answer; none if the process fails or takes longer than ``timeout`` seconds."""
        if self.process is None:
            return []
        with self.process as process:
            try:
                answer, _ = process.communicate(json.dumps(question, default=str), timeout=timeout)
            except (OSError, subprocess.SubprocessError, ValueError):
                process.kill()
                return []
        return answer.splitlines() if process.returncode == 0 else []
