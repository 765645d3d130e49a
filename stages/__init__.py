"""The stages of the pipeline, and the commands init and predict: a story file each."""

import os
import signal
import sys
from types import FrameType


def _end(number: int, _frame: FrameType | None) -> None:
    stage = sys.orig_argv[sys.orig_argv.index("-m") + 1].rpartition(".")[2]
    sys.stderr.write(f"{stage}: stopped. Finished work is kept: dvc repro goes on with it\n")
    sys.stderr.flush()
    os._exit(128 + number)


# For `python -m stages.NAME`, and not on import: until `run` takes over, libraries load for a second, and Ctrl-C would
# end in their traceback.
if sys.argv[0] == "-m":
    for _number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, _end)
