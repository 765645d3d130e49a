"""Train every approach to imbalance as a DVC experiment, and put their measures on the test images into one table.

    python -m recipes.compare [--approaches FILE] [--only NAME ...]

Reads   recipes/approaches.yaml, the committed params.yaml
Writes  results/approaches.csv (numbers), results/approaches.md (rounded, the best of each column marked with *),
        results/approaches.svg (recall of the rarest and the commonest label, and accuracy),
        results/approaches/NAME.svg (each approach's confusion matrices, one a threshold)

Each approach is queued on top of the last commit and runs in a folder of its own, so that the workspace stays as it is;
`dvc exp show` lists them and `dvc exp apply NAME` takes one over. What an earlier run has done comes from DVC's cache.
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
from counterweight.metrics.decisions import names_of_decisions
from counterweight.onboarding.params_file import apply_to
from recipes.approaches import Approach, read_approaches, settings_of, table_decision
from recipes.experiments import clean_commit, dvc, finished, override, shown_experiments

MEASURES = ("macro_f1", "micro_f1", "minority_recall", "majority_recall", "accuracy")
DRAWN = {
    "minority_recall": "recall of the rarest",
    "majority_recall": "recall of the commonest",
    "accuracy": "accuracy",
}


def table_of(approaches: Sequence[Approach], metrics: Mapping[str, Mapping[str, Any]], decision: str) -> pd.DataFrame:
    """Measures of each approach.

    Parameters
    ----------
    approaches : sequence of Approach
        In the order of the rows.
    metrics : mapping of str to mapping
        By experiment, what evaluate wrote as metrics.json of the approach's arm. One that is missing has no row.
    decision : str
        For approaches that name none.

    Returns
    -------
    pandas.DataFrame
        ``approach`` and the columns of `MEASURES`, not a number where a measure is of nothing.
    """
    rows = [
        [each.name, *(metrics[each.experiment][f"threshold_{each.decision or decision}"][name] for name in MEASURES)]
        for each in approaches
        if each.experiment in metrics
    ]
    table = pd.DataFrame(rows, columns=["approach", *MEASURES])
    return table.astype(dict.fromkeys(MEASURES, "float64"))


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, to three digits, the best of each column marked with ``*``.

    Examples
    --------
    >>> table = pd.DataFrame({"approach": ["naive", "clusters"], "macro_f1": [0.4, 0.5]})
    >>> print(markdown(table), end="")
    | approach | macro_f1 |
    |----------|----------|
    | naive    | 0.400    |
    | clusters | 0.500*   |
    """
    cells = {"approach": table["approach"].tolist()} | {
        name: [
            "" if pd.isna(value) else f"{value:.3f}" + "*" * bool(value == table[name].max()) for value in table[name]
        ]
        for name in table.columns.drop("approach")
    }
    widths = {name: max(len(name), *map(len, column)) for name, column in cells.items()}
    lines = [list(cells), ["-" * width for width in widths.values()], *zip(*cells.values(), strict=True)]
    rows = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths.values(), strict=True)) for line in lines]
    rows[1] = rows[1].replace(" | ", "-|-")
    return "".join(f"|-{row}-|\n" if i == 1 else f"| {row} |\n" for i, row in enumerate(rows))


def main(argv: Sequence[str] | None = None) -> None:
    """Queue, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--approaches", type=Path, default=Path("recipes/approaches.yaml"), metavar="PATH")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the approaches to compare")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="PATH")
    args = parser.parse_args(argv)

    approaches = _chosen(read_approaches(args.approaches), args.only)
    params = load_params(args.params)
    to_run = [each for each in approaches if each.of is None]
    _check(approaches, params, args.params)
    commit = clean_commit()

    known = finished(shown_experiments(), commit)
    if earlier := [each.experiment for each in to_run if each.experiment in known]:
        dvc("exp", "remove", "--quiet", *earlier)
    for each in to_run:
        sets = [word for name, value in settings_of(each, params).items() for word in ("-S", override(name, value))]
        dvc("exp", "run", "--quiet", "--queue", "--name", each.experiment, *sets, f"evaluate@{each.arm}")
    # Ends with 0 also if experiments failed; `finished` tells.
    dvc("exp", "run", "--run-all", shown=True)

    ended = finished(shown_experiments(), commit)
    metrics = {
        each.experiment: files[f"results/{each.arm}/metrics.json"]
        for each in to_run
        if (files := ended.get(each.experiment)) is not None
    }
    table = table_of(approaches, metrics, table_decision(params.data.task))
    if len(table):
        write_table(table, args.results / "approaches.csv")
        write_text(markdown(table), args.results / "approaches.md")
        bars = {said: table[measure].tolist() for measure, said in DRAWN.items()}
        bar_chart(table["approach"].tolist(), bars, "On the test images", args.results / "approaches.svg")
        print(markdown(table), end="")
    for each in to_run:
        if each.experiment in metrics:
            _fetch_confusion(each, args.results / "approaches")
    failed = [each for each in to_run if each.experiment not in metrics]
    raise_problems(
        [f"'{each.name}' failed and has no row. See: dvc queue logs {each.experiment}" for each in failed], "compare"
    )


def _fetch_confusion(approach: Approach, folder: Path) -> None:
    """Take an experiment's confusion matrices out of DVC's cache."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{approach.experiment}.svg"
    source = f"results/{approach.arm}/confusion.svg"
    dvc("get", ".", source, "--rev", approach.experiment, "--out", str(target), "--force", "--quiet")


def _chosen(approaches: list[Approach], only: Sequence[str] | None) -> list[Approach]:
    """Those named, and those whose run they judge."""
    if only is None:
        return approaches
    names = [each.name for each in approaches]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise InputError(f"--only: {', '.join(unknown)} is no approach. There are: {'; '.join(names)}.")
    wanted = {*only, *(each.of for each in approaches if each.name in only)}
    return [each for each in approaches if each.name in wanted]


def _check(approaches: Sequence[Approach], params: Params, path: Path) -> None:
    """Validate every approach's params before the first is queued."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for each in approaches:
            copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
            try:
                apply_to(copy, settings_of(each, params))
                settled = load_params(copy)
            except InputError as error:
                problems.append(f"'{each.name}': {error}".replace(str(copy), str(path)))
                continue
            decisions = names_of_decisions(settled.data.task, settled.evaluate.thresholds)
            if each.decision is not None and each.decision not in decisions:
                problems.append(
                    f"'{each.name}': {each.decision} is no decision here. Choose one of {', '.join(decisions)}"
                )
    raise_problems(problems, "approaches")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(1)
