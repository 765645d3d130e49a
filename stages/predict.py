"""Label new images with a trained network; a command, not a stage of the pipeline.

Reads   a model's folder, such as results/balanced/model; a folder of images, or a .npy array of them
Writes  a table with one row per image, .csv or .xlsx; with an .xlsx also the same as .csv. Probabilities are calibrated
        on validation; labels are decided by thresholds on the scores before that. With --explain also a page, .html, of
        the images with their labels, and what in each speaks for the likeliest one
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.errors import InputError, name_some
from counterweight.base.outputs import write_text
from counterweight.images.codec import SUFFIXES
from counterweight.images.sources import open_images
from counterweight.metrics import decisions
from counterweight.sheets.sheet_writer import write_sheet

log = logging.getLogger("predict")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the command."""
    args = parse_options(__doc__, argv, "model", "images", "out", optional=["explain"], params=False)

    if args.explain and args.explain.suffix != ".html":
        raise InputError(f"--explain {args.explain}: the page is an .html. Give a name that ends in .html.")

    # Imported here, so that --help and wrong options do not wait for PyTorch.
    from counterweight.networks.backbones import resolve_device
    from counterweight.networks.classifier import load
    from counterweight.networks.inference import Compute
    from counterweight.networks.prediction import predict, table_columns, table_files, table_rows

    table_files(args.out, 0)  # A wrong name is an error before the work.
    classifier, rule = load(args.model), decisions.read(args.model)
    # The user's own command on any folder: links are followed wherever they lead.
    source = open_images(args.images, [Path("/")], "--images")
    names = source.names()
    if not names:
        raise InputError(
            f"{args.images}: it contains no image ({', '.join(sorted(SUFFIXES))}). Give the images' folder."
        )
    if source.others:
        log.warning("%d files are not read: %s", len(source.others), name_some([*source.others]))
    device = resolve_device(device_name())

    scores, problems = predict(classifier, source, names, Compute(device, worker_count()))

    files = table_files(args.out, len(names))
    for file in files:
        cells = table_rows(names, scores, problems, rule)
        write_sheet(table_columns(rule.labels), cells, file, file.suffix.removeprefix("."))
    if args.out not in files:
        log.warning("Excel cannot hold %d rows: only %s is written", len(names), files[0])
    if args.explain:
        from counterweight.explanation.predictions_page import predictions_page

        write_text(predictions_page(classifier, rule, source, names, scores, str(args.model)), args.explain)
        log.info("pictured: %s", args.explain)
    log.info("labels: %s", rule.describe(decisions.DEPLOYED[rule.task]))
    log.info("probabilities: %s", rule.describe_probabilities())
    unreadable = sum(map(bool, problems))
    return f"{len(names)} images, {unreadable} of them unreadable, see {' and '.join(map(str, files))}, on {device}"


if __name__ == "__main__":
    run(main)
