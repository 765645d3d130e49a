"""Show on a few test images why networks give labels, by the arms without and with copies.

Reads   augmented/arms/nothing.csv, data/resized/, results/arms/<arm>/models/ and scores.csv of both arms
Writes  results/explanations.csv, results/explanations/ (pictures: what the networks see, and what speaks for the label
        in the eyes of each arm's first network), results/explanations.json (metrics)
Params  explain, train.portable
"""

import os
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import atomic_folder, write_json, write_table
from counterweight.base.params import load_params
from counterweight.explanation.chosen_images import choose_images, explanations_table
from counterweight.explanation.overlay import border_shares, write_pictures
from counterweight.metrics import decisions
from counterweight.metrics.seed_means import first_scores
from counterweight.runtime.portable_kernels import use_portable_kernels

ARMS = ("nothing", "copies")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "tables", "resized", "arms", "explanations", "pictures", "metrics")
    params = load_params(args.params)
    options = params.explain
    if params.train.portable:
        use_portable_kernels(os.environ)

    # PyTorch takes seconds that --help and wrong options or params need not wait for.
    from counterweight.explanation.attribution import ExplainConfig, explain
    from counterweight.networks.classifier import load
    from counterweight.networks.loader import ImageDataset, ImageFiles

    table = manifest.read(args.tables / "nothing.csv")
    test, train = (manifest.rows_of_split(table, split) for split in ("test", "train"))
    labels, targets, image_ids = manifest.label_names(table), manifest.targets(test), test["image_id"].tolist()
    models = {arm: next(iter(decisions.seed_folders(args.arms / arm / "models").values())) for arm in ARMS}
    rules = {arm: decisions.read(folder) for arm, folder in models.items()}
    scores = {arm: first_scores(args.arms / arm / "scores.csv", image_ids) for arm in ARMS}
    predictions = {arm: rule.apply(scores[arm], decisions.HEADLINE[rule.task]) for arm, rule in rules.items()}
    probabilities = {arm: rule.probabilities(scores[arm]) for arm, rule in rules.items()}
    wanted = options.images_per_reason if options.method != "none" else 0
    counts = (manifest.targets(train) == 1).sum(axis=0)
    chosen = choose_images(targets, probabilities, predictions, counts, per_reason=wanted, seed=options.seed)

    files = ImageFiles.of_rows(test.iloc[[each.position for each in chosen]], args.resized)
    columns, maps, method = [each.column for each in chosen], {}, str(options.method)
    config = ExplainConfig(method, options.patches, options.samples, options.seed)
    with atomic_folder(args.pictures) as pictures:
        for arm in ARMS if chosen else ():
            classifier = load(models[arm])
            views = ImageDataset(files, classifier.config.preprocessing).views()
            maps[arm], method = explain(classifier, views, columns, config)
            write_pictures(views, maps[arm], arm, pictures)

    write_table(explanations_table(chosen, image_ids, labels, targets, probabilities, predictions), args.explanations)
    write_json({"method": method, "explained": len(chosen), "border_share": border_shares(maps)}, args.metrics)
    return f"{len(chosen)} test images explained by {method}"


if __name__ == "__main__":
    run(main)
