"""Put both arms side by side, to show whether the copies helped.

Reads   results/<arm>/metrics.json and results/<arm>/labels.csv of both arms
Writes  results/comparison.csv, results/comparison.json, results/comparison.svg
"""

import json
import logging
from collections.abc import Sequence

from counterweight.base.command import arguments, run
from counterweight.base.outputs import read_label_measures, write_json, write_table
from counterweight.evidence.comparison import compare, compare_overall
from counterweight.metrics.charts import comparison_chart

log = logging.getLogger("compare")

LOGGED = ("macro_f1", "micro_f1", "balanced_accuracy", "minority_recall", "majority_recall")
SAID = {"tuned": "at the tuned threshold", "argmax": "by the highest score"}


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(
        __doc__, argv,
        "original-metrics", "original-labels", "balanced-metrics", "balanced-labels", "table", "json", "chart",
    )  # fmt: skip
    metrics = {
        "original": json.loads(args.original_metrics.read_text(encoding="utf-8")),
        "balanced": json.loads(args.balanced_metrics.read_text(encoding="utf-8")),
    }
    labels = {
        "original": read_label_measures(args.original_labels),
        "balanced": read_label_measures(args.balanced_labels),
    }

    table, overall = (
        rows.assign(difference=rows["balanced"] - rows["original"])
        for rows in (compare(metrics, labels), compare_overall(metrics))
    )
    headline = metrics["balanced"]["headline"]

    write_table(table, args.table)
    numbers = overall.astype(object).where(overall.notna(), None)
    write_json({row.pop("measure"): row for row in numbers.to_dict("records")}, args.json)
    comparison_chart(labels, f"f1_{headline}", f"F1 of each label on the test images, {SAID[headline]}", args.chart)

    logged = overall[overall["measure"].isin(["map", "macro_auc", *(f"{name}_{headline}" for name in LOGGED)])]
    log.info("on the test images\n%s", logged.to_string(index=False, float_format="{:.3f}".format))
    gain = float(overall.set_index("measure")["difference"][f"macro_f1_{headline}"])
    return f"macro F1 {SAID[headline]} changed by {gain:+.3f}"


if __name__ == "__main__":
    run(main)
