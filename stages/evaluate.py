"""Judge one arm's network on the test rows, which no stage before has seen.

Reads   results/<arm>/model/, the arm's table, data/resized/
Writes  results/<arm>/metrics.json (metrics), results/<arm>/labels.csv, results/<arm>/scores.csv
Params  evaluate
"""

from collections.abc import Sequence

import pandas as pd

from stages.core import manifest
from stages.core.backbones import chosen_device
from stages.core.classifiers import load
from stages.core.command import arguments, device_name, run, worker_count
from stages.core.evaluation import label_measures, measures, tuned_threshold
from stages.core.inference import scores_of
from stages.core.outputs import write_json, write_table
from stages.core.params import load_params


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(__doc__, argv, "model", "table", "resized", "metrics", "labels", "scores")
    params = load_params(args.params).evaluate
    classifier = load(args.model)
    design = classifier.design

    table = manifest.read(args.table)
    judged = table[table["split"] != "train"].reset_index(drop=True)
    scores = scores_of(
        classifier,
        [args.resized / path for path in judged["path"]],
        judged["checksum"].tolist(),
        view=design.view,
        size=design.size,
        device=chosen_device(device_name()),
        workers=worker_count(),
    )
    targets, is_test = manifest.targets(judged), (judged["split"] == "test").to_numpy()
    thresholds = {f"{threshold:g}": threshold for threshold in params.thresholds}
    thresholds["tuned"] = tuned_threshold(targets[~is_test], scores[~is_test])
    metrics = measures(targets[is_test], scores[is_test], thresholds)
    counts = manifest.targets(manifest.of_split(table, "train")).sum(axis=0)

    write_json(metrics, args.metrics)
    write_table(label_measures(design.labels, counts, targets[is_test], scores[is_test], thresholds), args.labels)
    write_table(judged[["image_id", "split"]].join(pd.DataFrame(scores, columns=design.labels)), args.scores)
    return f"{is_test.sum()} test images, mAP {metrics['map']:.3f}"


if __name__ == "__main__":
    run(main)
