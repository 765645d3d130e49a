"""Copies of files that share disk space with the source, if the file system supports it; and checksums of files."""

import errno
import hashlib
import os
import shutil
import sys
from pathlib import Path

if sys.platform == "linux":
    import fcntl

# See ioctl_ficlone(2): on btrfs, XFS and others two files share blocks until one is written to.
FICLONE = 0x40049409
# Errors of file systems without clones or links: another device, no such call, not permitted, too many links.
_UNSUPPORTED = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EMLINK, errno.ENOSYS}
# Pairs of devices between which no file can be cloned. An attempt makes and deletes a file: more work than a link.
_without_clones: set[tuple[int, int]] = set()


def link_or_copy(source: Path, target: Path) -> None:
    """Clone ``source`` to ``target``, or else hard-link it, or else copy it.

    A hard link is one file under two names, so do not write to either afterwards; replacing or deleting is fine.

    Parameters
    ----------
    source : Path
        Existing file.
    target : Path
        Path in an existing folder; an existing file is replaced.
    """
    target.unlink(missing_ok=True)
    for link in (_clone, os.link):
        try:
            link(source, target)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            return
    shutil.copyfile(source, target)


def _clone(source: Path, target: Path) -> None:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "clones need Linux")
    devices = source.stat().st_dev, target.parent.stat().st_dev
    if devices in _without_clones:
        raise OSError(errno.EOPNOTSUPP, "no clones here")
    with source.open("rb") as original, target.open("xb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), FICLONE, original.fileno())
        except OSError as error:
            target.unlink()
            if error.errno in {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV}:  # The others may be of this file alone.
                _without_clones.add(devices)
            raise


def file_checksum(file: Path) -> str:
    """Return the SHA-256 of a file, in memory that does not grow with it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
