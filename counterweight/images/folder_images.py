"""Images in a folder of files."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.folder_scan import FolderScan, scan_folder
from counterweight.images.geometry import Pixels, TargetSize
from counterweight.images.image_check import ImageCheck, peculiarity
from counterweight.images.near_names import near_names
from counterweight.images.perceptual_hash import perceptual_hashes


@dataclass(frozen=True)
class FolderImages:
    """Image files in a folder and its subfolders, named by their relative paths.

    ``links`` are folders that links may lead into, as in `scan_folder`.
    """

    folder: Path
    links: tuple[Path, ...] = ()

    def __reduce__(self) -> tuple[type, tuple[Path, tuple[Path, ...]]]:
        """Leave the list of the files behind, which processes that read single images do not need."""
        return FolderImages, (self.folder, self.links)

    @cached_property
    def scan(self) -> FolderScan:
        """The files, as they are when this is first read."""
        return scan_folder(self.folder, self.links)

    @property
    def others(self) -> Mapping[str, str]:
        """Files that are not read as images, and why."""
        return self.scan.others

    @property
    def linked_folders(self) -> Sequence[str]:
        """Links to folders that were followed."""
        return self.scan.linked_folders

    @property
    def location(self) -> str:
        """Where the images are, for messages."""
        return str(self.folder)

    @property
    def fix(self) -> str:
        """How to fix a row whose image is missing."""
        return "Add the file or delete the row"

    def names(self) -> list[str]:
        """Return the names of all images, sorted."""
        return self.scan.images

    def find(self, image_ids: Sequence[str]) -> list[list[str]]:
        """Return the files that each id, a path with or without suffix, may refer to."""
        files = self.names()
        present = set(files)
        # macOS decomposes accented letters in file names, and Excel does not, so compare them in one normal form.
        by_path, by_stem = defaultdict(list), defaultdict(list)
        for file in files:
            by_path[normalize("NFC", file)].append(file)
            by_stem[normalize("NFC", str(PurePosixPath(file).with_suffix("")))].append(file)
        for stem, names in by_stem.items():
            if len(names) > 1:  # A usual suffix wins over one that says nothing.
                usual = [name for name in names if PurePosixPath(name).suffix.lower() in codec.SUFFIXES]
                by_stem[stem] = usual or names
        return [
            [image_id] if image_id in present else by_path.get(path, []) or by_stem.get(path, [])
            for image_id, path in ((image_id, normalize("NFC", image_id)) for image_id in image_ids)
        ]

    def near(self, image_ids: Sequence[str], taken: Collection[str] = (), *, other_folders: bool = False) -> list[str]:
        """Return the file that each id most likely means, by `near_names`."""
        return near_names(image_ids, self.names(), taken, other_folders=other_folders)

    def check(self, name: str, max_pixels: int) -> ImageCheck:
        """Read an image to its last byte."""
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            return ImageCheck("", None, f"{path} cannot be read: {error.strerror}")
        try:
            problem, sketch = codec.validate_bytes(data, max_pixels)
        except MemoryError:
            raise InputError(f"{path}: {codec.OUT_OF_MEMORY}") from None
        image_hash, mirrored = (None, None) if sketch is None else perceptual_hashes(sketch)
        if problem:
            return ImageCheck(codec.checksum(data), None, f"{path} {problem}")
        return ImageCheck(codec.checksum(data), image_hash, None, peculiarity(data), mirrored)

    def read(self, name: str, checksum: str | None = None, target: TargetSize | None = None) -> Pixels:
        """Read an image by `codec.read`."""
        return codec.read(self.folder / name, checksum, target)
