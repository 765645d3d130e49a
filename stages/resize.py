"""Convert every image to one size, color mode and file format.

Reads   data/manifest.csv, the images of data.images
Writes  data/resized/, data/resized.csv (the table with the paths and checksums of the resized files)
Params  resize, data.images
Obeys   COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_SCHEDULER, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB
"""

import os
from collections.abc import Sequence
from pathlib import Path

from counterweight.base import manifest
from counterweight.base.command import parse_options, run, worker_count
from counterweight.base.outputs import atomic_folder
from counterweight.base.params import load_params
from counterweight.images.geometry import TargetSize
from counterweight.images.resizing import resize_images
from counterweight.images.sources import open_images
from counterweight.runtime.cache import open_cache
from counterweight.runtime.dask_pool import dask_workers
from counterweight.runtime.dvc_cache import check_not_edited


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "manifest", "resized", "table", of_params=["images"])
    check_not_edited(args.manifest)
    params = load_params(args.params)
    images, resize = args.images or Path(params.data.images), params.resize

    cache, table = open_cache(os.environ), manifest.read(args.manifest)
    with dask_workers(os.environ, worker_count()) as workers, atomic_folder(args.resized) as folder:
        paths, checksums = resize_images(
            table["path"].tolist(),
            table["checksum"].tolist(),
            source=open_images(images),
            folder=folder,
            size=TargetSize(resize.width, resize.height, resize.mode),
            format=resize.format,
            cache=cache,
            workers=workers,
        )
    manifest.write(table.assign(path=paths, checksum=checksums), args.table)
    cache.prune()

    return f"{len(table)} images resized to {resize.width} x {resize.height} ({resize.mode}, {resize.format})"


if __name__ == "__main__":
    run(main)
