"""Train every approach to imbalance as a DVC experiment, choose one on validation, and tabulate the metrics on test.

    python -m recipes.compare [--approaches FILE] [--only NAME ...]

Reads   recipes/approaches.yaml, the committed params.yaml
Writes  results/approaches.csv, results/approaches.md (rounded, the best on validation marked with *),
        results/approaches.svg (recall of the rarest and the commonest label, and accuracy),
        results/approaches/NAME.svg (confusion matrices of each approach, one per threshold)

Each experiment is based on the last commit and runs in a folder of its own, so the workspace does not change.
`dvc exp show` lists them, `dvc exp apply NAME` applies one. Stages that have run before come from DVC's cache.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.outputs import write_table, write_text
from counterweight.base.params import Params, load_params
from counterweight.metrics.charts import bar_chart
from counterweight.metrics.decisions import decision_names
from counterweight.onboarding.params_file import apply_overlay
from recipes.approaches import Approach, read_approaches, settings_of, table_decision
from recipes.experiments import clean_commit, dvc, finished, override, shown_experiments

# The column that the choice is made by.
CHOSEN_BY = "validation_macro_f1"
METRICS = ("macro_f1", "micro_f1", "minority_recall", "majority_recall", "accuracy")
DRAWN = {
    "minority_recall": "recall of the rarest",
    "majority_recall": "recall of the commonest",
    "accuracy": "accuracy",
}


def table_of(approaches: Sequence[Approach], metrics: Mapping[str, Mapping[str, Any]], decision: str) -> pd.DataFrame:
    """Tabulate the metrics of the approaches.

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
        ``approach``, macro F1 on validation, and the columns of `METRICS` on test; NaN if a metric is undefined.
    """
    rows = []
    for each in approaches:
        if each.experiment in metrics:
            content, threshold = metrics[each.experiment], f"threshold_{each.decision or decision}"
            validation = content["validation"][threshold]["macro_f1"]
            rows.append([each.name, validation, *(content[threshold][name] for name in METRICS)])
    table = pd.DataFrame(rows, columns=["approach", CHOSEN_BY, *METRICS])
    return table.astype(dict.fromkeys((CHOSEN_BY, *METRICS), "float64"))


def markdown(table: pd.DataFrame) -> str:
    """Format the table in Markdown, with three decimals and the best on validation marked with ``*``.

    Examples
    --------
    >>> rows = [["naive", 0.4, 0.6], ["copies", 0.5, 0.5]]
    >>> table = pd.DataFrame(rows, columns=["approach", "validation_macro_f1", "macro_f1"])
    >>> print(markdown(table), end="")
    | approach   | validation_macro_f1   | macro_f1   |
    |------------|-----------------------|------------|
    | naive      | 0.400                 | 0.600      |
    | copies     | 0.500*                | 0.500      |
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

    approaches = _select(read_approaches(args.approaches), args.only)
    params = load_params(args.params)
    to_run = [each for each in approaches if each.of is None]
    _check(approaches, params, args.params)
    commit = clean_commit()

    earlier = finished(shown_experiments(), commit)
    if outdated := [each.experiment for each in to_run if each.experiment in earlier]:
        dvc("exp", "remove", "--quiet", *outdated)
    for each in to_run:
        options = [word for name, value in settings_of(each, params).items() for word in ("-S", override(name, value))]
        dvc("exp", "run", "--quiet", "--queue", "--name", each.experiment, *options, f"evaluate@{each.arm}")
    # The exit code is 0 even if experiments fail.
    dvc("exp", "run", "--run-all", shown=True)

    results = finished(shown_experiments(), commit)
    metrics = {
        each.experiment: files[f"results/{each.arm}/metrics.json"]
        for each in to_run
        if (files := results.get(each.experiment)) is not None
    }
    table = table_of(approaches, metrics, table_decision(params.data.task))
    if len(table):
        write_table(table, args.results / "approaches.csv")
        write_text(markdown(table), args.results / "approaches.md")
        bars = {text: table[metric].tolist() for metric, text in DRAWN.items()}
        bar_chart(table["approach"].tolist(), bars, "On the test images", args.results / "approaches.svg")
        print(markdown(table), end="")
    for each in to_run:
        if each.experiment in metrics:
            _fetch_confusion(each, args.results / "approaches")
    failed = [each for each in to_run if each.experiment not in metrics]
    raise_problems(
        [f"'{each.name}' failed and has no row. Run dvc queue logs {each.experiment}" for each in failed], "compare"
    )


def _fetch_confusion(approach: Approach, folder: Path) -> None:
    """Copy an experiment's confusion matrices from DVC's cache."""
    folder.mkdir(parents=True, exist_ok=True)
    source, target = f"results/{approach.arm}/confusion.svg", folder / f"{approach.experiment}.svg"
    dvc("get", ".", source, "--rev", approach.experiment, "--out", str(target), "--force", "--quiet")


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
            names = decision_names(changed.data.task, changed.evaluate.thresholds)
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
