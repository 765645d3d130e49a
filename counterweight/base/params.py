"""Loading and validation of params.yaml, which holds every value that changes a result."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from counterweight.base import results_schema, schema
from counterweight.base.conflicts import conflicts
from counterweight.base.errors import InputError, raise_problems

# Current names of sections and params by their former names.
RENAMED = {
    "fill": "impute",
    "split": "sheet",
    "data.hash_distance": "data.max_hash_distance",
    "features.view": "features.crop",
    "cluster.components": "cluster.n_components",
    "cluster.clusters": "cluster.n_clusters",
    "augment.minority": "augment.fill_smallest",
    "augment.copies": "augment.copy_mode",
    "augment.mix": "augment.composition",
    "train.weights_to": "train.pretrained_until",
    "train.mirror": "train.flip_tta",
    "train.view": "train.crop",
    "train.size": "train.input_size",
    "train.body_rate": "train.backbone_lr_scale",
    "train.tune": "train.threshold_metric",
    "train.sampler": "train.weighting",
    "report.images": "report.images_per_group",
    "report.repeats": "compare.bootstrap_samples",
    "report.bootstrap_samples": "compare.bootstrap_samples",
}
# Current values of features.crop and train.crop by their former values.
_RENAMED_VALUES = {"whole": "none", "centre": "center"}
_WEIGHTED = "weighted_"


class Params(schema.Section):
    """All sections of params.yaml."""

    data: schema.Data
    resize: schema.Resize
    features: schema.Features
    leaks: schema.Leaks
    impute: schema.Impute
    cluster: schema.Cluster
    probe: schema.Probe
    augment: schema.Augment
    sheet: results_schema.Sheet
    export: results_schema.Export
    train: results_schema.Train
    evaluate: results_schema.Evaluate
    compare: results_schema.Compare
    explain: results_schema.Explain
    report: results_schema.Report


def load_params(path: Path) -> Params:
    """Read and validate params.yaml.

    Parameters
    ----------
    path : Path
        File in YAML 1.2, as DVC reads it (``1e-3`` is a number, ``no`` a string).

    Raises
    ------
    InputError
        If the file is missing or not YAML, or values are invalid, unknown or missing; all problems are reported
        together, with their lines.
    """
    # The first content knows its line numbers, the second has plain values.
    content, plain = (read_yaml(path, "--params", typ) for typ in ("rt", "safe"))
    problems_at: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    params = None
    try:
        params = Params.model_validate(plain)
    except ValidationError as error:
        problems = error.errors()
        renamed = {RENAMED.get(".".join(map(str, problem["loc"]))) for problem in problems}
        for problem in problems:
            missing = problem["type"] == "missing"
            # A missing param that is there under its former name is reported by that name only.
            if not missing or ".".join(map(str, problem["loc"])) not in renamed:
                problems_at[_locate(problem["loc"], content, missing=missing)].append(_explain(problem))
    for param, message in conflicts(plain):
        problems_at[_locate(tuple(param.split(".")), content)].append(message)
    messages = []
    for line, name in sorted(problems_at, key=lambda place: place[0]):
        # A value that fits no branch of a union has one problem per branch: report them as one, at the longest name.
        if not any(other == line and longer.startswith(f"{name}.") for other, longer in problems_at):
            place = f"line {line}: {name}" if line else name
            messages.append(f"{place}: {', or '.join(dict.fromkeys(problems_at[line, name]))}")
    raise_problems(messages, str(path))
    assert params is not None
    return params


def read_yaml(path: Path, option: str, typ: str = "safe") -> Any:
    """Read a file in YAML 1.2.

    Parameters
    ----------
    path : Path
        File to read.
    option : str
        Command-line option that names another file, for the error message.
    typ : str
        ``safe`` for plain values, ``rt`` for values that know their line numbers.

    Raises
    ------
    InputError
        If the file is missing or not YAML.
    """
    try:
        return YAML(typ=typ, pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give {option}.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}. Correct the file.") from None


def _locate(loc: tuple[int | str, ...], content: Any, *, missing: bool = False) -> tuple[int, str]:
    """Return the line number, 0 if there is none, and the dotted name of a param."""
    name, line = [], 0
    for key in loc:
        try:
            position = content.lc.item(key) if isinstance(key, int) else content.lc.key(key)
            content = content[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            # Not in the file: a union branch, which pydantic adds to the location, or a missing key.
            if missing:
                name.append(str(key))
            continue
        name.append(str(key))
        line = position[0] + 1
    return line, ".".join(name) or "the file"


def _explain(problem: Any) -> str:
    """Return what is wrong, in terms of the file rather than of the model."""
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden" and name in RENAMED:
        return f"was renamed to {RENAMED[name]}. Rename it"
    value = str(problem["input"])
    if name.endswith(".crop") and value in _RENAMED_VALUES:
        return f"'{value}' was renamed to {_RENAMED_VALUES[value]}. Rename it"
    if name == "train.loss" and value.startswith(_WEIGHTED):
        return f"weights are an arm now. Set this to {value.removeprefix(_WEIGHTED)}, and add weights to train.arms"
    messages = {
        "missing": "is missing. Add it",
        "extra_forbidden": "is not a param. Delete it, or correct its name",
        "value_error": problem["msg"].removeprefix("Value error, "),
    }
    return str(messages.get(problem["type"], f"{problem['msg']}, found {problem['input']!r}"))
