"""Compare each arm with no remedy on the test images, and say which model to use.

Reads   augmented/arms/, results/arms/<arm>/ of each arm
Writes  results/comparison.csv (all metrics), results/arms.csv (intervals of each arm), results/verdict.json,
        results/comparison.svg, results/summary.json (metrics)
Params  compare, train.arms, train.optimizer, train.weights, train.weighting, data.task
"""

import json
import logging
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import read_label_table, write_json, write_table
from counterweight.base.params import load_params
from counterweight.base.results_schema import Arm
from counterweight.evidence.comparison import arm_differences, arm_table, compare, summarize
from counterweight.evidence.verdict import no_better_than_chance, sentences
from counterweight.metrics import decisions
from counterweight.metrics.charts import comparison_chart
from counterweight.metrics.imbalance import rarest_third
from counterweight.metrics.seed_means import scores_by_seed

log = logging.getLogger("compare")

DECISION_PHRASES = {"tuned": "at the tuned threshold", "argmax": "by the highest score"}
SHOWN = ["arm", "macro_f1", "difference", "difference_low", "difference_high", "rare_f1", "map", "macro_auc"]


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "tables", "arms", "comparison", "differences", "verdict", "summary", "chart")
    params = load_params(args.params)
    folders = {arm: args.arms / arm for arm in get_args(Arm) if arm in params.train.arms}

    table, with_copies = (manifest.read(args.tables / f"{arm}.csv") for arm in ("nothing", "copies"))
    test, train = (manifest.rows_of_split(table, split) for split in ("test", "train"))
    metrics = {arm: json.loads((folder / "metrics.json").read_text("utf-8")) for arm, folder in folders.items()}
    labels = {arm: read_label_table(folder / "labels.csv") for arm, folder in folders.items()}
    headline, task = metrics["nothing"]["headline"], params.data.task
    predictions = {}
    for arm, folder in folders.items():
        scores = scores_by_seed(pd.read_csv(folder / "scores.csv", dtype={"image_id": "str"}, keep_default_na=False))
        rules = {seed: decisions.read(model) for seed, model in decisions.seed_folders(folder / "models").items()}
        of_test = {seed: rows.loc[test["image_id"]].to_numpy(dtype=np.float64) for seed, rows in scores.items()}
        predictions[arm] = np.stack([rule.apply(of_test[seed], headline) for seed, rule in rules.items()])

    targets, train_targets = manifest.targets(test), manifest.targets(train)
    rare, options = rarest_third(train_targets), params.compare.model_dump()
    samples = {"n_samples": options["bootstrap_samples"], "seed": options["seed"]}
    differences = arm_differences(targets, predictions, rare, **samples)
    arms = arm_table(differences, metrics)
    n_copies = int((with_copies["source_id"] != "").sum())
    verdict = sentences(
        arms, differences, targets, manifest.label_names(table), rare,
        n_copies=n_copies, n_left_out=len(table) + n_copies - len(with_copies), seed_matters=params.train.seed_matters,
    )  # fmt: skip
    verdict["model"] = next(iter(decisions.seed_folders(folders[verdict["deploy"]] / "models").values())).as_posix()
    verdict["chance"] = no_better_than_chance(targets, predictions, train_targets, task, **samples)

    write_table(compare(metrics, labels), args.comparison)
    write_table(arms, args.differences)
    write_json(verdict, args.verdict)
    write_json(summarize(arms), args.summary)
    title = f"F1 of each label on the test images, {DECISION_PHRASES[headline]}"
    comparison_chart(labels, f"f1_{headline}", title, args.chart)
    shown = arms[SHOWN].to_string(index=False, float_format="{:.3f}".format)
    log.info("on the test images, %s\n%s", DECISION_PHRASES[headline], shown)
    return str(verdict["chance"] or verdict["copies"]).rstrip(".")


if __name__ == "__main__":
    run(main)
