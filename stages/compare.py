"""Put both arms side by side, to show whether the copies helped.

Reads   results/<arm>/metrics.json and results/<arm>/labels.csv of both arms
Writes  results/comparison.csv, results/comparison.json, results/comparison.svg
"""

import json
import logging
from collections.abc import Sequence

from stages.core.charts import comparison_chart
from stages.core.command import arguments, run
from stages.core.evaluation import compare
from stages.core.outputs import read_label_measures, write_json, write_table

log = logging.getLogger("compare")


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

    table = compare(metrics, labels)
    table["difference"] = table["balanced"] - table["original"]
    overall = table[table["label"] == "all"].drop(columns="label")

    write_table(table, args.table)
    write_json({row.pop("measure"): row for row in overall.to_dict("records")}, args.json)
    comparison_chart(labels, "f1_tuned", "F1 of each label on the test images, tuned threshold", args.chart)

    log.info("on the test images\n%s", overall.to_string(index=False, float_format="{:.3f}".format))
    gain = float(overall.set_index("measure")["difference"]["macro_f1_tuned"])
    return f"macro F1 at the tuned threshold changed by {gain:+.3f}"


if __name__ == "__main__":
    run(main)
