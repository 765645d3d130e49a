"""Train a network on one arm: the original train rows, or the balanced ones.

Reads   the arm's table, the images it names
Writes  results/<arm>/model/ (weights, design, and thresholds tuned on validation), results/<arm>/history.csv (plots)
Params  train, data.task, resize
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_DEVICES, COUNTERWEIGHT_NODES, COUNTERWEIGHT_WORKERS,
        COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import os
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import arguments, device_name, run, worker_count
from counterweight.base.describing import described
from counterweight.base.outputs import folder_aside, write_table
from counterweight.base.params import load_params
from counterweight.metrics import decisions
from counterweight.metrics.imbalance import image_weights
from counterweight.runtime.cache import cache_of


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "table", "resized", "copies", "model", "history")
    params = load_params(args.params)

    # They bring PyTorch, whose seconds neither --help nor a wrong option or param waits for.
    import torch

    from counterweight.networks.backbones import Backbone, checksum_of, chosen_device, load_weights
    from counterweight.networks.classifier import Classifier, Design, save
    from counterweight.networks.distributed import group_of
    from counterweight.training.callbacks import best_epoch
    from counterweight.training.datasets import examples
    from counterweight.training.losses import build_loss, plain_loss, scores_by
    from counterweight.training.module import Objective
    from counterweight.training.optimizer import Optimisation
    from counterweight.training.pretrained_body import fit_body
    from counterweight.training.sampler import Seeded, order_of
    from counterweight.training.trainer import fit, training_key
    from counterweight.training.transforms import Transformed
    from counterweight.training.tuning import decided

    train, group = params.train, group_of(os.environ, chosen_device(device_name()))
    torch.set_num_threads(train.threads)
    torch.manual_seed(train.seed)

    table = manifest.read(args.table)
    rows = {split: manifest.of_split(table, split) for split in ("train", "val")}
    targets, labels = manifest.targets(rows["train"]), manifest.label_names(table)
    scores = scores_by(train.loss)
    size = train.width_and_height
    design = Design(
        train.model, train.layer, train.activation, train.pooling, train.mirror, train.channels, labels,
        params.data.task, scores, train.view, size, params.resize.model_dump(),
    )  # fmt: skip
    classifier = Classifier(design)
    if isinstance(classifier.body, Backbone):
        load_weights(classifier.body, train.weights, train.weights_to)
    read = {"resized": args.resized, "copies": args.copies, "group": group, "workers": worker_count()}
    fit_body(classifier, rows["train"], norms=not train.freeze and train.weights != "random", **read)
    seen = {split: examples(classifier, rows[split], frozen=train.freeze, **read) for split in rows}
    first = checksum_of(classifier)
    depends = {"train": train.model_dump(), "design": asdict(design), "device": group.device.type, "weights": first}
    going_on = cache_of(os.environ).place("training", training_key(args.table.read_bytes(), depends))
    order = order_of(len(targets), train.seed, image_weights(targets) if train.sampler == "weighted" else None)
    history = fit(
        classifier.head if train.freeze else classifier,
        Objective(build_loss(train.loss, targets), plain_loss(scores, len(labels)), scores, train.monitor),
        Transformed(seen["train"], train.transforms, size) if train.transforms else seen["train"],
        seen["val"],
        order=Seeded(order, train.seed) if train.transforms else order,
        optimisation=Optimisation(
            train.optimizer, train.learning_rate, train.weight_decay, train.schedule, train.epochs, train.body_rate
        ),
        epochs=train.epochs,
        patience=train.patience,
        batch_size=train.batch_size,
        group=group,
        workers=0 if train.freeze else worker_count(),  # Frozen features lie in memory; there is nothing to read.
        going_on=going_on,
    )
    if group.rank == 0:
        tuned = decided(
            classifier, rows["train"], rows["val"],
            measure=train.tune, resized=args.resized, device=group.device, workers=worker_count(),
        )  # fmt: skip
        with folder_aside(args.model) as aside:
            save(classifier, aside)
            decisions.write(tuned, aside)
        write_table(pd.DataFrame(history), args.history)
        if going_on is not None:
            going_on.unlink(missing_ok=True)

    best = best_epoch(history, train.monitor)
    return (
        f"{len(targets)} images, {len(history)} epochs, best {best['epoch']} "
        f"with validation loss {best['validation_loss']:.4f} and F1 {best['validation_f1']:.3f}, on {group}"
    )


if __name__ == "__main__":
    run(main)
