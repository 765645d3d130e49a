"""Files that take no second place on disk, where the file system has a way."""

import errno
import os
import shutil
import sys
from pathlib import Path

if sys.platform == "linux":
    import fcntl

# ioctl(2) of Linux: btrfs, XFS and others share the blocks of two files until one is written to.
FICLONE = 0x40049409
# What file systems answer that cannot: another device, no such call, no links, too many of them.
_CANNOT = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EMLINK, errno.ENOSYS}


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same content as ``source``: a clone, or else a hard link, or else a copy.

    A hard link is one file under two names, so neither may be written to afterwards; replacing or deleting is fine.

    Parameters
    ----------
    source : Path
        A file.
    target : Path
        In a folder that exists; what stands there is replaced.
    """
    target.unlink(missing_ok=True)
    for share in (_clone, os.link):
        try:
            share(source, target)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        else:
            return
    shutil.copyfile(source, target)


def _clone(source: Path, target: Path) -> None:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "no clones here")
    with source.open("rb") as given, target.open("xb") as made:
        try:
            fcntl.ioctl(made.fileno(), FICLONE, given.fileno())
        except OSError:
            target.unlink()
            raise
