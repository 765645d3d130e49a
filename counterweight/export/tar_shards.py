"""Shards as WebDataset reads them: tar files, in which the files of a sample follow each other and share a name."""

import io
import json
import tarfile
from pathlib import Path, PurePosixPath

from counterweight.export.shards import Shard


def write_tar_shard(folder: Path, shard: Shard) -> None:
    """Write a shard as ``NAME.tar``, the same bytes each time.

    A sample is its image, ``.json`` with what is known of it and, if it has exactly one label, ``.cls`` with the number
    of its class. Its name is its place in the split; an image id may have dots, at which WebDataset cuts names.
    """
    with tarfile.open(folder / f"{shard.name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, sample in enumerate(shard.samples()):
            key = f"{shard.name}-{number:05d}"
            _add(tar, key + PurePosixPath(sample.path).suffix.lower(), sample.content)
            _add(tar, f"{key}.json", json.dumps(sample.record, ensure_ascii=False).encode())
            if shard.by_class:
                _add(tar, f"{key}.cls", str(sample.record["label"]).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # It names no owner and no time, so the bytes are the same each time.
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
