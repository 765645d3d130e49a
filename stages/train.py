"""Train a network on one arm: the original train rows, or the balanced ones.

Reads   the arm's table, the images it names
Writes  results/<arm>/model/, results/<arm>/history.csv (plots)
Params  train
"""

from collections.abc import Sequence

import pandas as pd
import torch

from stages.core import manifest
from stages.core.backbones import Backbone, chosen_device, load_weights
from stages.core.classifiers import Classifier, Design, save
from stages.core.command import arguments, device_name, run, worker_count
from stages.core.examples import examples
from stages.core.losses import build_loss
from stages.core.outputs import write_table
from stages.core.params import load_params
from stages.core.training import fit


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(__doc__, argv, "table", "resized", "copies", "model", "history")
    params = load_params(args.params).train
    device = chosen_device(device_name())
    torch.set_num_threads(params.threads)
    torch.manual_seed(params.seed)

    table = manifest.read(args.table)
    design = Design(params.model, params.layer, manifest.label_names(table), params.view, params.size)
    classifier = Classifier(design)
    if isinstance(classifier.body, Backbone):
        load_weights(classifier.body, params.weights)
    train, val = (
        examples(
            classifier, manifest.of_split(table, split), resized=args.resized, copies=args.copies,
            frozen=params.freeze, device=device, workers=worker_count(),
        )
        for split in ("train", "val")
    )  # fmt: skip
    history = fit(
        classifier.head if params.freeze else classifier,
        build_loss(params.loss, manifest.targets(manifest.of_split(table, "train"))),
        train,
        val,
        epochs=params.epochs,
        patience=params.patience,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        seed=params.seed,
        device=device,
        workers=0 if params.freeze else worker_count(),  # Frozen features lie in memory; there is nothing to read.
    )

    save(classifier, args.model)
    write_table(pd.DataFrame(history), args.history)
    best = min(history, key=lambda row: row["validation_loss"])
    return (
        f"{(table['split'] == 'train').sum()} images, {len(history)} epochs, best {best['epoch']} "
        f"with validation loss {best['validation_loss']:.4f}, on {device}"
    )


if __name__ == "__main__":
    run(main)
