"""The stages of the pipeline, and the commands init and predict: a story file each."""

import gc
import os
import re
import signal
import sys
from types import FrameType

# The command, as in `python -m stages.NAME` or `python -umstages.NAME`; not of another package that imports this one.
_COMMAND = next((word for word in sys.orig_argv if re.fullmatch(r"(-\w*m)?stages\.\w+", word)), None)


def _end(number: int, _frame: FrameType | None) -> None:
    name = (_COMMAND or "").rpartition(".")[2]
    sys.stderr.write(f"{name}: stopped. Finished work is kept: dvc repro goes on with it\n")
    sys.stderr.flush()
    os._exit(128 + number)


if sys.argv[0] == "-m" and _COMMAND:
    # By default the garbage collector runs every 700 allocations: with PyTorch loaded, 10 % of the time for nothing.
    gc.set_threshold(50_000)
    # Until `run` takes over, libraries load for a second, and Ctrl-C would end in their traceback.
    for _number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, _end)
