"""Train every approach to imbalance as a DVC experiment, choose one on validation, and show that one on test.

    python -m recipes.compare [--approaches FILE] [--only NAME ...]

Reads   recipes/approaches.yaml, the committed params.yaml
Writes  results/approaches.csv, results/approaches.md (rounded, the best on validation marked with *),
        results/approaches_test.csv (the chosen approach and the first on the test images, with intervals),
        results/approaches.svg (macro F1 and recall of the rarest label on validation),
        results/approaches/NAME.svg (confusion matrices of each approach, one per threshold)

Each experiment is based on the last commit and runs in a folder of its own, so the workspace does not change.
`dvc exp show` lists them, `dvc exp apply NAME` applies one. Stages that have run before come from DVC's cache.
"""

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import InputError, raise_problems
from counterweight.base.outputs import write_table, write_text
from counterweight.base.params import Params, load_params
from counterweight.metrics import decisions
from counterweight.metrics.bootstrap import Interval, change, macro_f1_intervals
from counterweight.metrics.charts import bar_chart
from counterweight.metrics.seed_means import scores_by_seed
from counterweight.onboarding.params_file import apply_overlay
from recipes.approaches import HALF, Approach, fitting, read_approaches, settings_of, table_decision
from recipes.experiments import clean_commit, dvc, fetch, finished, override, shown_experiments, untracked_paths

# The column that the choice is made by.
CHOSEN_BY = "macro_f1"
METRICS = ("macro_f1", "micro_f1", "balanced_accuracy", "minority_recall", "majority_recall")
DRAWN = {"macro_f1": "macro F1", "minority_recall": "recall of the rarest"}


def table_of(approaches: Sequence[Approach], metrics: Mapping[str, Mapping[str, Any]], decision: str) -> pd.DataFrame:
    """Tabulate the metrics of the approaches on validation.

    Parameters
    ----------
    approaches : sequence of Approach
        The rows, in order.
    metrics : mapping of str to mapping
        By experiment, evaluate's metrics.json of the approach's arm. Approaches without one are left out.
    decision : str
        Decision for approaches that set none.

    Returns
    -------
    pandas.DataFrame
        ``approach`` and the columns of `METRICS`; NaN if a metric is undefined.
    """
    rows = []
    for each in approaches:
        if each.experiment in metrics:
            values = metrics[each.experiment]["validation"][f"threshold_{each.decision or decision}"]
            rows.append([each.name, *(values[name] for name in METRICS)])
    return pd.DataFrame(rows, columns=["approach", *METRICS]).astype(dict.fromkeys(METRICS, "float64"))


def chosen(table: pd.DataFrame) -> str:
    """Return the approach with the best macro F1 on validation, the first among equals."""
    return str(table.set_index("approach")[CHOSEN_BY].idxmax())


def comparison_on_test(first: Approach, best: Approach, params: Params) -> pd.DataFrame:
    """Compare two approaches on the test images, with 95 % confidence intervals.

    Returns
    -------
    pandas.DataFrame
        One row per approach: ``approach``, ``macro_f1``, ``low``, ``high``, and for the second by how much it differs
        from the first, with ``difference_low`` and ``difference_high``.
    """
    decision = table_decision(params.data.task)
    y_true, *predictions = [*_test_predictions(first, decision), _test_predictions(best, decision)[1]]
    options = params.compare
    intervals = macro_f1_intervals(y_true, *predictions, n_samples=options.bootstrap_samples, seed=options.seed)
    rows = [[each.name, f1.value, f1.low, f1.high] for each, f1 in zip((first, best), intervals[:2], strict=True)]
    table = pd.DataFrame(rows, columns=["approach", "macro_f1", "low", "high"])
    difference = intervals[2]
    names = ("difference", "difference_low", "difference_high")
    values = (difference.value, difference.low, difference.high)
    return table.assign(**{name: [np.nan, value] for name, value in zip(names, values, strict=True)})


def _test_predictions(approach: Approach, decision: str) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the targets of the test images, and what an approach predicts, shape (n_seeds, n_images, n_labels)."""
    folder, experiment = f"results/arms/{approach.arm}", approach.experiment
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "table.csv"
        copy.write_bytes(fetch(f"augmented/arms/{approach.arm}.csv", experiment))
        test = manifest.rows_of_split(manifest.read(copy), "test")
    scores = pd.read_csv(
        io.BytesIO(fetch(f"{folder}/scores.csv", experiment)), dtype={"image_id": "str"}, keep_default_na=False
    )
    predictions = []
    for seed, rows in scores_by_seed(scores).items():
        rule = decisions.parse(json.loads(fetch(f"{folder}/models/seed-{seed}/{decisions.FILE}", experiment)))
        applied = decisions.decision_names(rule.task, [HALF])[approach.decision or decision]
        predictions.append(rule.apply(rows.loc[test["image_id"]].to_numpy(dtype=np.float64), applied))
    return manifest.targets(test), np.stack(predictions)


def markdown(table: pd.DataFrame) -> str:
    """Format the table in Markdown, with three decimals and the best on validation marked with ``*``.

    Examples
    --------
    >>> rows = [["nothing", 0.4, 0.6], ["labels", 0.5, 0.5]]
    >>> table = pd.DataFrame(rows, columns=["approach", "macro_f1", "micro_f1"])
    >>> print(markdown(table), end="")
    | approach   | macro_f1   | micro_f1   |
    |------------|------------|------------|
    | nothing    | 0.400      | 0.600      |
    | labels     | 0.500*     | 0.500      |
    """
    cells = table.drop(columns="approach").map(lambda value: "" if pd.isna(value) else f"{value:.3f}")
    is_best = table[CHOSEN_BY] == table[CHOSEN_BY].max()
    cells[CHOSEN_BY] += is_best.map({True: "*", False: ""})
    cells.insert(0, "approach", table["approach"])
    return cells.to_markdown(index=False, tablefmt="github", disable_numparse=True) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Queue, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--approaches", type=Path, default=Path("recipes/approaches.yaml"), metavar="PATH")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the approaches to compare")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="PATH")
    args = parser.parse_args(argv)

    params = load_params(args.params)
    approaches = _select(fitting(read_approaches(args.approaches), params), args.only)
    to_run = [each for each in approaches if each.of is None]
    _check(approaches, params, args.params)
    commit, paths = clean_commit(), untracked_paths(params)

    if outdated := [each.experiment for each in to_run if each.experiment in finished(shown_experiments(), commit)]:
        dvc("exp", "remove", "--quiet", *outdated)
    for each in to_run:
        values = settings_of(each, params) | paths
        options = [word for name, value in values.items() for word in ("-S", override(name, value))]
        dvc("exp", "run", "--quiet", "--queue", "--name", each.experiment, *options, f"evaluate@{each.arm}")
    # Experiments share what has been computed before. The exit code is 0 even if experiments fail.
    os.environ.setdefault("COUNTERWEIGHT_CACHE", str(Path(".counterweight").absolute()))
    dvc("exp", "run", "--run-all", shown=True)

    succeeded = finished(shown_experiments(), commit)
    metrics = {
        each.experiment: json.loads(fetch(f"results/arms/{each.arm}/metrics.json", each.experiment))
        for each in to_run
        if succeeded.get(each.experiment)
    }
    table = table_of(approaches, metrics, table_decision(params.data.task))
    if len(table):
        write_table(table, args.results / "approaches.csv")
        write_text(markdown(table), args.results / "approaches.md")
        bars = {text: table[metric].tolist() for metric, text in DRAWN.items()}
        bar_chart(table["approach"].tolist(), bars, "On the validation images", args.results / "approaches.svg")
        print(f"On the validation images:\n\n{markdown(table)}")
        by_name = {each.name: each for each in approaches}
        on_test = comparison_on_test(by_name[table["approach"][0]], by_name[chosen(table)], params)
        write_table(on_test, args.results / "approaches_test.csv")
        print(f"{on_test_sentence(on_test)}")
    for each in to_run:
        if each.experiment in metrics:
            content = fetch(f"results/arms/{each.arm}/confusion.svg", each.experiment).decode()
            write_text(content, args.results / "approaches" / f"{each.experiment}.svg")
    failed = [each for each in to_run if each.experiment not in metrics]
    raise_problems(
        [f"'{each.name}' failed and has no row. Run dvc queue logs {each.experiment}" for each in failed], "compare"
    )


def on_test_sentence(table: pd.DataFrame) -> str:
    """Say what `comparison_on_test` found."""
    first, best = table.iloc[0], table.iloc[-1]
    difference = Interval(best["difference"], best["difference_low"], best["difference_high"])
    return (
        f"Chosen on validation: {best['approach']}. On the test images: macro F1 {best['macro_f1']:.3f} (95 % CI "
        f"{best['low']:.3f} to {best['high']:.3f}), {first['approach']} {first['macro_f1']:.3f} ({first['low']:.3f} to "
        f"{first['high']:.3f}); the difference is {change(difference)}."
    )


def _select(approaches: list[Approach], only: Sequence[str] | None) -> list[Approach]:
    """Return the named approaches, and those whose runs they share; all if ``only`` is None."""
    if only is None:
        return approaches
    names = [each.name for each in approaches]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise InputError(f"--only: {', '.join(unknown)} is not an approach. Choose from: {'; '.join(names)}.")
    selected = {*only, *(each.of for each in approaches if each.name in only)}
    return [each for each in approaches if each.name in selected]


def _check(approaches: Sequence[Approach], params: Params, path: Path) -> None:
    """Raise if the params or the decision of any approach are invalid."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for each in approaches:
            copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
            try:
                apply_overlay(copy, settings_of(each, params))
                changed = load_params(copy)
            except InputError as error:
                problems.append(f"'{each.name}': {error}".replace(str(copy), str(path)))
                continue
            names = decisions.decision_names(changed.data.task, changed.evaluate.thresholds)
            if each.decision is not None and each.decision not in names:
                problems.append(
                    f"'{each.name}': {each.decision} is not a decision here. Choose one of {', '.join(names)}"
                )
    raise_problems(problems, "approaches")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(1)
