"""Evaluate the networks of an arm on the test rows, by which nothing was trained or chosen, and on validation.

Reads   results/arms/<arm>/models/, augmented/arms/<arm>.csv, data/resized/
Writes  results/arms/<arm>/metrics.json and labels.csv (means over the seeds), scores.csv (of each seed);
        of the first seed, report.txt, roc.csv, precision_recall.csv, confusion.csv and confusion.svg
Params  evaluate, train.portable
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB
"""

import logging
import os
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.errors import MAX_SHOWN, name_some
from counterweight.base.outputs import write_json, write_table, write_text
from counterweight.base.params import load_params
from counterweight.metrics import decisions, plot_tables
from counterweight.metrics.charts import confusion_chart
from counterweight.metrics.classification import LabelRoles
from counterweight.metrics.seed_means import deviations, evaluate_seed, mean_metrics, mean_table, score_table
from counterweight.runtime.cache import open_cache
from counterweight.runtime.portable_kernels import use_portable_kernels

log = logging.getLogger("evaluate")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv,
        "models", "table", "resized", "metrics", "labels", "scores", "report", "roc", "precision-recall", "confusion",
        "confusion-chart",
    )  # fmt: skip
    params = load_params(args.params)
    if params.train.portable:
        use_portable_kernels(os.environ)

    # PyTorch takes seconds that --help and wrong options or params need not wait for.
    from counterweight.networks.backbones import resolve_device
    from counterweight.networks.classifier import load
    from counterweight.networks.inference import Compute
    from counterweight.networks.loader import ImageFiles
    from counterweight.networks.prediction import predict_scores

    table, folders = manifest.read(args.table), decisions.seed_folders(args.models)
    evaluated, train = table[table["split"] != "train"].reset_index(drop=True), manifest.rows_of_split(table, "train")
    targets, is_test = manifest.targets(evaluated), (evaluated["split"] == "test").to_numpy()
    files = ImageFiles.of_rows(evaluated, args.resized)
    compute, cache = Compute(resolve_device(device_name()), worker_count()), open_cache(os.environ)
    rules = {seed: decisions.read(folder) for seed, folder in folders.items()}
    scores = {seed: predict_scores(load(folder), files, compute, cache) for seed, folder in folders.items()}
    cache.prune()

    rule = next(iter(rules.values()))
    labels, names = rule.labels, decisions.decision_names(rule.task, params.evaluate.thresholds)
    originals = manifest.targets(train[train["source_id"] == ""])
    roles = LabelRoles.from_train_targets(rule.task, labels, rule.positive, originals)
    images = (manifest.targets(train) == 1).sum(axis=0)
    parts = {seed: [(targets[rows], found[rows]) for rows in (is_test, ~is_test)] for seed, found in scores.items()}
    results = [
        evaluate_seed(rules[seed], names, roles, images, test=test, val=val) for seed, (test, val) in parts.items()
    ]
    metrics, label_tables = zip(*results, strict=True)
    means = mean_metrics(metrics) | {"seeds": len(rules)}

    write_json(means | {"deviation": deviations(metrics, decisions.HEADLINE[rule.task])}, args.metrics)
    write_table(mean_table(label_tables), args.labels)
    write_table(score_table(evaluated, labels, scores), args.scores)
    y_true, first = targets[is_test], next(iter(scores.values()))[is_test]
    predictions = {name: rule.apply(first, decision) for name, decision in names.items()}
    titles = {name: f"{name}: {rule.describe(decision)}" for name, decision in names.items()}
    single_label = [name for name in names if decisions.is_single_label(rule.task, name)]
    matrices = plot_tables.confusion_matrices(labels, y_true, predictions, single_label)
    write_text(plot_tables.classification_reports(labels, y_true, predictions, titles), args.report)
    write_table(plot_tables.roc_table(labels, y_true, first), args.roc)
    write_table(plot_tables.precision_recall_table(labels, y_true, first), args.precision_recall)
    write_table(plot_tables.confusion_table(labels, matrices), args.confusion)
    confusion_chart(labels, matrices, "Counts on the test images", args.confusion_chart)

    if absent := [label for label, count in zip(labels, (y_true == 1).sum(axis=0), strict=True) if not count]:
        log.warning("no test image is known to have %s: excluded from mAP and macro AUC", name_some(absent, MAX_SHOWN))
    return f"{is_test.sum()} test images, mAP " + ("unknown" if means["map"] is None else f"{means['map']:.3f}")


if __name__ == "__main__":
    run(main)
