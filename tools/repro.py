"""`dvc repro` that loses no work.

    python -m tools.repro [options and targets of dvc repro]

DVC writes dvc.lock in place, so that a kill at that moment leaves a part of it, and with it the outputs of earlier runs
would be forgotten. This command keeps the last whole dvc.lock in .dvc/tmp and puts it back. Before it starts, it stops
at tables that were changed by hand, such as data/manifest.csv, since DVC would overwrite them without a word.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from counterweight.base.errors import name_some
from counterweight.runtime.dvc_cache import changed_tables, locked_stages

LOCK, KEPT, RUNNING = Path("dvc.lock"), Path(".dvc/tmp/dvc.lock"), Path(".dvc/tmp/repro.running")
# Seconds between two looks at dvc.lock; stages take longer.
_INTERVAL = 0.2


def is_whole(text: bytes, earlier: bytes | None) -> bool:
    """Return whether a dvc.lock is whole: it has all dependencies and outputs of the stages of an earlier one."""
    stages = locked_stages(text)
    if stages is None:
        return False
    before = locked_stages(earlier) if earlier is not None else {}
    return all(
        name in stages and all(len(stages[name].get(key, ())) >= len(stage.get(key, ())) for key in ("deps", "outs"))
        for name, stage in (before or {}).items()
    )


def keep() -> None:
    """Keep dvc.lock if it is whole and has changed."""
    text, earlier = _bytes(LOCK), _bytes(KEPT)
    if text is not None and text != earlier and is_whole(text, earlier):
        aside = KEPT.with_suffix(".aside")
        aside.write_bytes(text)
        aside.replace(KEPT)


def restore() -> bool:
    """Put back the dvc.lock that was kept, if there is a part of one; return whether that was so."""
    text, earlier = _bytes(LOCK), _bytes(KEPT)
    if text is None or earlier is None or is_whole(text, earlier):
        return False
    shutil.copy(KEPT, LOCK)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dvc repro`."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    # What an interrupted stage has written is in no dvc.lock yet, and no change by hand.
    if RUNNING.exists():
        if restore():
            say("the last run was killed while DVC wrote dvc.lock, which is as it was before now.")
    elif changed := changed_tables(Path()):
        say(
            f"no finished run wrote what these outputs hold, and it would be overwritten: {name_some(changed)}. If you "
            "changed them, make the change in your sheet or in params.yaml. Then, or after a dvc repro that was "
            f"stopped, drop it here: dvc checkout --force {' '.join(changed)}"
        )
        return 1
    KEPT.unlink(missing_ok=True)
    keep()
    RUNNING.touch()
    process: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        if process is None:
            sys.exit(128 + number)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    # A group of its own, since DVC, when it is asked to end, would leave its stage running.
    process = subprocess.Popen(["dvc", "repro", *(sys.argv[1:] if argv is None else argv)], start_new_session=True)
    while True:
        try:
            code = process.wait(_INTERVAL)
            break
        except subprocess.TimeoutExpired:
            keep()
    if code == 0:
        RUNNING.unlink(missing_ok=True)
    elif restore():
        say("DVC was killed while it wrote dvc.lock, which is as it was before now. Run make repro again.")
    return 128 - code if code < 0 else code


def say(text: str) -> None:
    """Tell the user."""
    sys.stderr.write(f"repro: {text}\n")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
