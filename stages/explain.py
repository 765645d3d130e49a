"""Show on a few test images why networks give labels, by the arms without and with copies.

Reads   augmented/arms/nothing.csv, data/resized/, results/arms/<arm>/models/ and scores.csv of both arms
Writes  results/explanations.csv, results/explanations/ (pictures: what the networks see, and what speaks for the label
        in the eyes of each arm's first network), results/explanations.json (metrics)
Params  explain
"""

from collections.abc import Sequence

import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import atomic_folder, write_json, write_table
from counterweight.base.params import load_params
from counterweight.explanation.chosen_images import choose_images
from counterweight.explanation.overlay import mean_border_share, write_pictures
from counterweight.metrics import decisions
from counterweight.metrics.seed_means import first_scores

ARMS = ("nothing", "copies")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "tables", "resized", "arms", "explanations", "pictures", "metrics")
    params = load_params(args.params).explain

    # PyTorch takes seconds that --help and wrong options or params need not wait for.
    from counterweight.explanation.attribution import ExplainConfig, explain
    from counterweight.networks.classifier import load
    from counterweight.networks.loader import ImageDataset, ImageFiles

    table = manifest.read(args.tables / "nothing.csv")
    test, train = (manifest.rows_of_split(table, split) for split in ("test", "train"))
    labels, counts = manifest.label_names(table), (manifest.targets(train) == 1).sum(axis=0)
    models = {arm: next(iter(decisions.seed_folders(args.arms / arm / "models").values())) for arm in ARMS}
    scores = {arm: first_scores(args.arms / arm / "scores.csv", test["image_id"].tolist()) for arm in ARMS}
    rules = {arm: decisions.read(folder) for arm, folder in models.items()}
    answers = {arm: rule.apply(scores[arm], decisions.HEADLINE[rule.task]) for arm, rule in rules.items()}
    wanted = params.images_per_reason if params.method != "none" else 0
    chosen = choose_images(manifest.targets(test), scores, answers, counts, per_reason=wanted, seed=params.seed)

    columns, rows, shares, used = [each.column for each in chosen], [], {}, str(params.method)
    files = ImageFiles.of_rows(test.iloc[[each.position for each in chosen]], args.resized)
    with atomic_folder(args.pictures) as pictures:
        for arm, folder in models.items() if chosen else ():
            classifier = load(folder)
            views = ImageDataset(files, classifier.config.preprocessing).views()
            config = ExplainConfig(params.method, params.patches, params.samples, params.seed)
            maps, used = explain(classifier, views, columns, config)
            shares[arm] = mean_border_share(maps)
            write_pictures(views, maps, arm, pictures)
    for number, each in enumerate(chosen):
        cell = (each.position, each.column)
        said = [value for arm in ARMS for value in (scores[arm][cell].round(4), int(answers[arm][cell]))]
        image, labeled = test["image_id"].iloc[each.position], int(manifest.targets(test)[cell])
        rows.append([number, image, each.reason, labels[each.column], labeled, *said])

    said_by = [f"{what}_{arm}" for arm in ARMS for what in ("score", "answer")]
    names = ["picture", "image_id", "reason", "label", "labeled", *said_by]
    write_table(pd.DataFrame(rows, columns=names), args.explanations)
    write_json({"method": used, "explained": len(chosen), "border_share": shares}, args.metrics)
    return f"{len(chosen)} test images explained by {used}"


if __name__ == "__main__":
    run(main)
