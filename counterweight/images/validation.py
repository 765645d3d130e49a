"""Images read to their last byte, to know which of them cannot be.

Processes that check import this module, so that it brings neither pandas nor what else they have no use for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from counterweight.images.sources import Checked, Images
from counterweight.runtime.parallel import for_each

# Bytes of a file's name. File systems hold 255, and the copies of an image have longer names than it.
LONGEST_NAME = 200


def check_files(
    source: Images, paths: Sequence[str], *, max_pixels: int, workers: int
) -> tuple[list[Checked], dict[int, str]]:
    """Read every image to its last byte.

    Parameters
    ----------
    source : FolderImages or ArrayImages
        The images.
    paths : sequence of str
        Their names in it, one a row; an empty one is left out.
    max_pixels : int
        Most pixels of one.
    workers : int
        Processes.

    Returns
    -------
    checked : list of Checked
        What is known of each; nothing where there is no image.
    bad : dict of int to str
        What is wrong with an image, by its row, from 0.
    """
    checked = for_each(_Check(source, max_pixels), paths, workers=workers, what="images")
    return checked, {i: each.problem for i, each in enumerate(checked) if each.problem}


@dataclass(frozen=True)
class _Check:
    source: Images
    max_pixels: int

    def __call__(self, path: str) -> Checked:
        """What is known of an image."""
        length = len(PurePosixPath(path).name.encode())
        if length > LONGEST_NAME:
            return Checked(
                "", None, f"{path} has a name of {length} bytes, and its copies need room beyond {LONGEST_NAME}"
            )
        return self.source.check(path, self.max_pixels) if path else Checked("", None, None)
