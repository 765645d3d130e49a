"""Judge one arm's network on the test rows, which no stage before has seen, and on the validation rows.

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
from counterweight.base.command import arguments, device_name, run, worker_count
from counterweight.base.describing import described
from counterweight.base.outputs import write_json, write_table, write_text
from counterweight.base.params import load_params
from counterweight.metrics import decisions
from counterweight.metrics.charts import confusion_chart
from counterweight.metrics.classification import Roles, label_measures, measures, on_validation
from counterweight.metrics.confusion import confusion_table, confusions, report
from counterweight.metrics.curves import precision_recall, roc

log = logging.getLogger("evaluate")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(
        described(__doc__), argv,
        "model", "table", "resized", "metrics", "labels", "scores", "report", "roc", "precision-recall", "confusion",
        "confusion-chart",
    )  # fmt: skip
    params = load_params(args.params).evaluate

    # They bring PyTorch, whose seconds neither --help nor a wrong option or param waits for.
    from counterweight.networks.backbones import chosen_device
    from counterweight.networks.classifier import load
    from counterweight.networks.inference import scores_of

    classifier, decided = load(args.model), decisions.read(args.model)
    labels, task = decided.labels, decided.task

    table = manifest.read(args.table)
    judged = table[table["split"] != "train"].reset_index(drop=True)
    scores = scores_of(
        classifier,
        [args.resized / path for path in judged["path"]],
        judged["checksum"].tolist(),
        view=classifier.design.view,
        size=classifier.design.size,
        device=chosen_device(device_name()),
        workers=worker_count(),
    )
    targets, is_test = manifest.targets(judged), (judged["split"] == "test").to_numpy()
    names = decisions.names_of_decisions(task, params.thresholds)
    titles = {name: f"{name}: {decided.described(how)}" for name, how in names.items()}
    test, val = (
        (targets[rows], scores[rows], {name: decided.given(scores[rows], how) for name, how in names.items()})
        for rows in (is_test, ~is_test)
    )
    there, said, given = test
    in_train = manifest.of_split(table, "train")
    roles = Roles.of(task, labels, decided.positive, manifest.targets(in_train[in_train["source_id"] == ""]))
    metrics = measures(*test, roles)
    counts = confusions(labels, there, given, [name for name in names if decisions.gives_one(task, name)])

    write_json(decisions.summary(decided) | metrics | {"validation": on_validation(*val, roles)}, args.metrics)
    write_table(label_measures(labels, (manifest.targets(in_train) == 1).sum(axis=0), *test), args.labels)
    by_image = pd.concat([judged[["image_id", "split"]], pd.DataFrame(scores, columns=labels)], axis=1)
    write_table(by_image, args.scores)
    write_text(report(labels, there, given, titles), args.report)
    write_table(roc(labels, there, said), args.roc)
    write_table(precision_recall(labels, there, said), args.precision_recall)
    write_table(confusion_table(labels, counts), args.confusion)
    confusion_chart(labels, counts, "Counts on the test images", args.confusion_chart)

    absent = [label for label, images in zip(labels, (there == 1).sum(axis=0), strict=True) if not images]
    if absent:
        log.warning("no test image is known to have %s: left out of mAP and mean AUC", ", ".join(absent))
    return f"{is_test.sum()} test images, mAP " + ("unknown" if metrics["map"] is None else f"{metrics['map']:.3f}")


if __name__ == "__main__":
    run(main)
