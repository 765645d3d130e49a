"""Label new images by a trained network; a command, no stage of the pipeline.

Reads   a model's folder, such as results/balanced/model; a folder of images, or a .npy array of them
Writes  a table with a row an image, .xlsx or .csv; beside an .xlsx the same as .csv
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence

from counterweight.base.command import arguments, device_name, run, worker_count
from counterweight.base.describing import described
from counterweight.base.errors import InputError
from counterweight.dataset.spreadsheet import write_sheet
from counterweight.images.codec import SUFFIXES
from counterweight.images.sources import open_images
from counterweight.metrics import decisions

log = logging.getLogger("predict")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the command."""
    args = arguments(described(__doc__), argv, "model", "images", "out", params=False)

    # They bring PyTorch, whose seconds neither --help nor a wrong option waits for.
    from counterweight.networks.backbones import chosen_device
    from counterweight.networks.classifier import load
    from counterweight.networks.prediction import columns, predict, rows, table_files

    table_files(args.out, 0)  # A wrong name is told before the work.
    classifier, decided = load(args.model), decisions.read(args.model)
    source = open_images(args.images)
    names = source.names()
    if not names:
        raise InputError(f"{args.images}: no image in it ({', '.join(sorted(SUFFIXES))}). Give the images' folder.")
    device = chosen_device(device_name())

    scores, problems = predict(classifier, source, names, device=device, workers=worker_count())

    files = table_files(args.out, len(names))
    for file in files:
        cells = rows(names, scores, problems, decided)
        write_sheet(columns(decided.labels), cells, file, file.suffix.removeprefix("."))
    if args.out not in files:
        log.warning("%d rows are more than Excel holds: there is only %s", len(names), files[0])
    log.info("labels: %s", decided.described(decisions.IN_USE[decided.task]))
    unreadable = sum(map(bool, problems))
    return f"{len(names)} images, {unreadable} of them unreadable, see {' and '.join(map(str, files))}, on {device}"


if __name__ == "__main__":
    run(main)
