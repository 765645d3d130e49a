"""Evaluate one arm's network on the test rows, which no earlier stage has seen, and on the validation rows.

Reads   results/<arm>/model/, the arm's table, data/resized/
Writes  results/<arm>/metrics.json (metrics), labels.csv, scores.csv, report.txt, roc.csv, precision_recall.csv,
        confusion.csv and confusion.svg
Params  evaluate
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence

import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.outputs import write_json, write_table, write_text
from counterweight.base.params import load_params
from counterweight.metrics import decisions
from counterweight.metrics.charts import confusion_chart
from counterweight.metrics.classification import LabelRoles, classification_metrics, label_metrics, validation_metrics
from counterweight.metrics.confusion import classification_reports, confusion_matrices, confusion_table
from counterweight.metrics.curves import precision_recall_table, roc_table

log = logging.getLogger("evaluate")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv,
        "model", "table", "resized", "metrics", "labels", "scores", "report", "roc", "precision-recall", "confusion",
        "confusion-chart",
    )  # fmt: skip
    params = load_params(args.params).evaluate

    # Imported here, since PyTorch takes seconds that --help and wrong options or params need not wait for.
    from counterweight.networks.backbones import resolve_device
    from counterweight.networks.classifier import load
    from counterweight.networks.inference import Compute, predict_scores
    from counterweight.networks.loader import ImageFiles

    classifier, rule = load(args.model), decisions.read(args.model)
    labels, task = rule.labels, rule.task

    table = manifest.read(args.table)
    evaluated = table[table["split"] != "train"].reset_index(drop=True)
    scores = predict_scores(
        classifier,
        ImageFiles([args.resized / path for path in evaluated["path"]], evaluated["checksum"].tolist()),
        Compute(resolve_device(device_name()), worker_count()),
    )
    targets, is_test = manifest.targets(evaluated), (evaluated["split"] == "test").to_numpy()
    names = decisions.decision_names(task, params.thresholds)
    titles = {name: f"{name}: {rule.describe(decision)}" for name, decision in names.items()}
    test, val = (
        (targets[rows], scores[rows], {name: rule.apply(scores[rows], decision) for name, decision in names.items()})
        for rows in (is_test, ~is_test)
    )
    y_true, test_scores, predictions = test
    train = manifest.rows_of_split(table, "train")
    originals = manifest.targets(train[train["source_id"] == ""])
    roles = LabelRoles.from_train_targets(task, labels, rule.positive, originals)
    metrics = classification_metrics(*test, roles)
    single_label = [name for name in names if decisions.is_single_label(task, name)]
    matrices = confusion_matrices(labels, y_true, predictions, single_label)

    write_json(decisions.summary(rule) | metrics | {"validation": validation_metrics(*val, roles)}, args.metrics)
    write_table(label_metrics(labels, (manifest.targets(train) == 1).sum(axis=0), *test), args.labels)
    by_image = pd.concat([evaluated[["image_id", "split"]], pd.DataFrame(scores, columns=labels)], axis=1)
    write_table(by_image, args.scores)
    write_text(classification_reports(labels, y_true, predictions, titles), args.report)
    write_table(roc_table(labels, y_true, test_scores), args.roc)
    write_table(precision_recall_table(labels, y_true, test_scores), args.precision_recall)
    write_table(confusion_table(labels, matrices), args.confusion)
    confusion_chart(labels, matrices, "Counts on the test images", args.confusion_chart)

    absent = [label for label, count in zip(labels, (y_true == 1).sum(axis=0), strict=True) if not count]
    if absent:
        log.warning("no test image is known to have %s: excluded from mAP and macro AUC", ", ".join(absent))
    return f"{is_test.sum()} test images, mAP " + ("unknown" if metrics["map"] is None else f"{metrics['map']:.3f}")


if __name__ == "__main__":
    run(main)
