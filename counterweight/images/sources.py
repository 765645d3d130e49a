"""Sources of images: a folder of files or one array, with the same methods."""

from collections.abc import Collection
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.images.array_images import ArrayImages, open_array
from counterweight.images.folder_images import FolderImages

ImageSource = FolderImages | ArrayImages


def open_images(path: Path, links: Collection[Path] = (), named: str = "data.images in params.yaml") -> ImageSource:
    """Open a folder of images or a ``.npy`` array of images.

    Parameters
    ----------
    path : Path
        A folder; or an array of shape (images, height, width) or (images, height, width, channels) with 1, 3 or 4
        channels. Its values, which are all scanned once, may be bool; integers from 0 to 255; uint16 up to 65535,
        divided by 257 if any is above 255; or floating-point numbers, all from 0 to 1 or all from 0 to 255.
    links : collection of Path
        Folders that links in a folder may lead into; see `counterweight.images.folder_scan.scan_folder`.
    named : str
        What names the path, for messages.

    Returns
    -------
    FolderImages or ArrayImages
        Holds no pixels, so it is cheap to send to worker processes.

    Raises
    ------
    InputError
        If the folder or array does not exist, or the array does not hold images.
    """
    if path.suffix.lower() == ".npy":
        return open_array(path, named)
    if path.is_file():
        raise InputError(f"{path}: is one file. Set {named} to the folder that it is in, or to a .npy array.")
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder. Set {named} to the images' folder.")
    return FolderImages(path, tuple(links))
