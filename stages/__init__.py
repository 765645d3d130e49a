"""The stages of the pipeline, one file each, and the library that they share.

What is here comes before all that a stage imports.
"""

import atexit
import gc
import os
import sys

# Threads of libgomp, with which PyTorch computes, keep their core for some 10 ms after their work in case there is
# more, and the processes that decode images need it meanwhile. So many turns of that loop outlast the gap between two
# layers.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

# Python looks for garbage each time that 700 objects were made, for which it finds none, and a tenth of the time, while
# PyTorch is loaded.
gc.set_threshold(50_000)

# Whether this process has nothing left to do, and nothing to say with its exit code.
done = False


@atexit.register  # As the first of all, so that it is called as the last.
def _leave() -> None:
    """End without taking apart what was imported, which is half a second for PyTorch."""
    if done:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
