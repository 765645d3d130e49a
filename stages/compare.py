"""Compare the metrics of both arms, to show whether the copies helped.

Reads   results/<arm>/metrics.json and results/<arm>/labels.csv of both arms
Writes  results/comparison.csv, results/comparison.json, results/comparison.svg
"""

import json
import logging
from collections.abc import Sequence

from counterweight.base.command import parse_options, run
from counterweight.base.outputs import read_label_table, write_json, write_table
from counterweight.evidence.bootstrap import shown_difference
from counterweight.evidence.comparison import compare, compare_aggregates
from counterweight.metrics.charts import comparison_chart

log = logging.getLogger("compare")

LOGGED = ("macro_f1", "micro_f1", "balanced_accuracy", "minority_recall", "majority_recall")
DECISION_PHRASES = {"tuned": "at the tuned threshold", "argmax": "by the highest score"}


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv,
        "original-metrics", "original-labels", "balanced-metrics", "balanced-labels", "table", "json", "chart",
    )  # fmt: skip
    files = {"original": args.original_metrics, "balanced": args.balanced_metrics}
    metrics = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items()}
    tables = {"original": args.original_labels, "balanced": args.balanced_labels}
    labels = {name: read_label_table(path) for name, path in tables.items()}

    table, aggregates = (
        rows.assign(difference=rows["balanced"] - rows["original"])
        for rows in (compare(metrics, labels), compare_aggregates(metrics))
    )
    headline = metrics["balanced"]["headline"]

    write_table(table, args.table)
    records = aggregates.astype(object).where(aggregates.notna(), None)
    write_json({row.pop("measure"): row for row in records.to_dict("records")}, args.json)
    title = f"F1 of each label on the test images, {DECISION_PHRASES[headline]}"
    comparison_chart(labels, f"f1_{headline}", title, args.chart)

    logged = aggregates[aggregates["measure"].isin(["map", "macro_auc", *(f"{name}_{headline}" for name in LOGGED)])]
    log.info("on the test images\n%s", logged.to_string(index=False, float_format="{:.3f}".format))
    by_measure = aggregates.set_index("measure")
    gain = shown_difference(*(float(by_measure[arm][f"macro_f1_{headline}"]) for arm in ("original", "balanced")))
    return f"macro F1 {DECISION_PHRASES[headline]} changed by {gain:+.3f}"


if __name__ == "__main__":
    run(main)
