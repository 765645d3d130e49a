from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from stages.core import params
from stages.core.errors import InputError
from stages.core.params import Params, load_params

PROJECT = Path(__file__).parents[2]

# Line 1 is the first line of text.
PARAMS = """\
data:
  images: data/raw/images
  sheet: data/raw/labels.xlsx
  columns:
    image: id
    split: split
    labels: target
  separator: ","
  labels: null
  test: 0.2
  validation: 0.15
  seed: 42
resize:
  width: 400
  height: 400
  mode: fit
  format: jpg
features:
  model: resnet18
  weights: IMAGENET1K_V1
  layer: layer4
  view: whole
  seed: 0
cluster:
  components: 50
  clusters: 5
  seed: 42
augment:
  target: majority
  minority: all
  copies_per_image: null
  seed: 0
  quality:
    min_std: 4.0
    min_contrast: 0.25
    max_draws: 10
  pipeline:
    - Fliplr: {p: 0.7}
    - AverageBlur: {k: [2, 7]}
split:
  format: xlsx
train:
  model: resnet18
  weights: random
  layer: layer4
  freeze: false
  view: whole
  size: 224
  loss: bce
  epochs: 40
  patience: 5
  batch_size: 32
  learning_rate: 1e-3
  threads: 2
  seed: 0
evaluate:
  thresholds: [0.2, 0.5]
"""


def saved(folder: Path, *changes: tuple[str, str]) -> Path:
    text = PARAMS
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        load_params(path)
    first, *problems = str(error.value).splitlines()
    assert first == f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}"
    return [problem.strip() for problem in problems]


def models() -> list[type[BaseModel]]:
    return [kind for kind in vars(params).values() if isinstance(kind, type) and issubclass(kind, params.Section)]


def test_the_projects_own_params_are_valid() -> None:
    assert isinstance(load_params(PROJECT / "params.yaml"), Params)


def test_values_are_those_of_the_file(tmp_path: Path) -> None:
    loaded = load_params(saved(tmp_path))
    assert (loaded.resize.width, loaded.data.columns.split, loaded.data.labels) == (400, "split", None)
    assert loaded.augment.pipeline == [{"Fliplr": {"p": 0.7}}, {"AverageBlur": {"k": [2, 7]}}]
    assert loaded.evaluate.thresholds == [0.2, 0.5]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split: split", "split: null"),
        ("labels: target", "labels: [cat, dog]"),
        ("labels: null", "labels: [cat, dog]"),
        ("target: majority", "target: 0.5"),
        ("target: majority", "target: 1"),
        ("minority: all", "minority: 2"),
        ("copies_per_image: null", "copies_per_image: 10"),
        ("freeze: false", "freeze: true"),
        ("  model: resnet18\n  weights: random", "  model: cnn7\n  weights: random"),
    ],
)
def test_these_values_are_accepted_too(old: str, new: str, tmp_path: Path) -> None:
    assert isinstance(load_params(saved(tmp_path, (old, new))), Params)


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_no_param_has_a_default(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.is_required()] == []


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_no_param_takes_unknown_keys_or_changes_after_reading(model: type[BaseModel]) -> None:
    assert (model.model_config["extra"], model.model_config["frozen"], model.model_config["strict"]) == (
        "forbid",
        True,
        True,
    )


def test_a_param_does_not_change_after_reading(tmp_path: Path) -> None:
    loaded = load_params(saved(tmp_path))
    with pytest.raises(ValidationError, match="Instance is frozen"):
        loaded.resize.width = 8


def test_1e_3_is_a_number_as_in_yaml_1_2(tmp_path: Path) -> None:
    assert load_params(saved(tmp_path)).train.learning_rate == 0.001


def test_no_is_a_word_as_in_yaml_1_2(tmp_path: Path) -> None:
    path = saved(tmp_path, ("freeze: false", "freeze: no"))
    assert problems_of(path) == ["line 46: train.freeze: Input should be a valid boolean, found 'no'"]


def test_a_label_called_no_is_a_label(tmp_path: Path) -> None:
    path = saved(tmp_path, ("labels: null", "labels: [yes, no, on, off]"))
    assert load_params(path).data.labels == ["yes", "no", "on", "off"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "  seed: 42\nresize:",
            "  seed: 42\n  sede: 1\nresize:",
            "line 13: data.sede: is not a param. Delete it, or correct its name",
        ),
        ("  width: 400\n", "", "line 13: resize.width: is missing. Add it"),
        ("    image: id\n", "", "line 4: data.columns.image: is missing. Add it"),
        ("evaluate:\n  thresholds: [0.2, 0.5]\n", "", "evaluate: is missing. Add it"),
        ("width: 400", "width: 4e2", "line 14: resize.width: Input should be a valid integer, found 400.0"),
        ("width: 400", "width: '400'", "line 14: resize.width: Input should be a valid integer, found '400'"),
        ("width: 400", "width:", "line 14: resize.width: Input should be a valid integer, found None"),
        ("width: 400", "width: 7", "line 14: resize.width: Input should be greater than or equal to 8, found 7"),
        ("width: 400", "width: 8193", "line 14: resize.width: Input should be less than or equal to 8192, found 8193"),
        ("mode: fit", "mode: pad", "line 16: resize.mode: Input should be 'stretch', 'fit' or 'crop', found 'pad'"),
        ("images: data/raw/images", "images: 3", "line 2: data.images: Input should be a valid string, found 3"),
        ("test: 0.2", "test: 1", "line 10: data.test: Input should be less than 1, found 1"),
        ("test: 0.2", "test: 0", "line 10: data.test: Input should be greater than 0, found 0"),
        (
            "clusters: 5",
            "clusters: 1",
            "line 26: cluster.clusters: Input should be greater than or equal to 2, found 1",
        ),
        ("clusters: 5", "clusters: true", "line 26: cluster.clusters: Input should be a valid integer, found True"),
        (
            "max_draws: 10",
            "max_draws: 0",
            "line 36: augment.quality.max_draws: Input should be greater than or equal to 1, found 0",
        ),
        (
            "copies_per_image: null",
            "copies_per_image: 0",
            "line 31: augment.copies_per_image: Input should be greater than or equal to 1, found 0",
        ),
        (
            "learning_rate: 1e-3",
            "learning_rate: -1",
            "line 53: train.learning_rate: Input should be greater than 0, found -1",
        ),
        ("[0.2, 0.5]", "[0.2, 1.5]", "line 57: evaluate.thresholds.1: Input should be less than 1, found 1.5"),
        ("[0.2, 0.5]", "[0.5, 0.2, 0.5]", "line 57: evaluate.thresholds: 0.5 stands there twice. Delete one"),
        (
            "split:\n  format: xlsx",
            "split: xlsx",
            "line 40: split: Input should be a valid dictionary or instance of Split, found 'xlsx'",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, (old, new))) == [problem]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "Fliplr: {p: 0.7}",
            "Flip: {p: 0.7}",
            "step 1: 'Flip' is not an augmenter. Accepted are: AverageBlur, CropAndPad, Cutout, ElasticTransformation, "
            "Fliplr, GaussianBlur, MedianBlur, PerspectiveTransform",
        ),
        ("{k: [2, 7]}", "{kernel: 3}", "step 2: AverageBlur has no argument 'kernel'. It takes: k"),
        (
            "{p: 0.7}",
            "{p: 7}",
            "step 1: Fliplr: p is 7. It takes a number, at least 0 and at most 1",
        ),
        ("Fliplr: {p: 0.7}", "Fliplr: 0.7", "step 1: Fliplr needs its arguments by name. It takes: p"),
    ],
)
def test_a_wrong_augmenter_is_answered_with_what_is_accepted(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, (old, new))) == [f"line 37: augment.pipeline: {problem}"]


def test_all_wrong_augmenters_are_reported(tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, ("{p: 0.7}", "{q: 1}"), ("{k: [2, 7]}", "{kernel: 3}")))
    assert problem == (
        "line 37: augment.pipeline: step 1: Fliplr has no argument 'q'. It takes: p; "
        "step 2: AverageBlur has no argument 'kernel'. It takes: k"
    )


@pytest.mark.parametrize(
    ("old", "new"), [("freeze: false", "freeze: true"), ("weights: random", "weights: IMAGENET1K_V1")]
)
def test_cnn7_is_trained_from_scratch(old: str, new: str, tmp_path: Path) -> None:
    path = saved(tmp_path, ("train:\n  model: resnet18", "train:\n  model: cnn7"), (old, new))
    assert problems_of(path) == [
        "line 42: train: cnn7 is trained from scratch: set weights to random and freeze to false, or choose a ResNet"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("target: majority", "target: 1.5"),
        ("target: majority", "target: minority"),
        ("minority: all", "minority: 0"),
        ("minority: all", "minority: few"),
        ("labels: target", "labels: []"),
        ("labels: target", "labels: 3"),
        ("labels: target", "labels: [cat, 3]"),
    ],
)
def test_one_mistake_is_one_problem(old: str, new: str, tmp_path: Path) -> None:
    assert len(problems_of(saved(tmp_path, (old, new)))) == 1


@pytest.mark.parametrize(("old", "line"), [("labels: target", 7), ("labels: null", 9)])
def test_a_label_that_stands_there_twice_is_an_error(old: str, line: int, tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, (old, "labels: [cat, dog, cat]")))
    assert problem.startswith(f"line {line}: ")
    assert "'cat'" in problem


@pytest.mark.parametrize(("old", "line"), [("learning_rate: 1e-3", 53), ("min_std: 4.0", 34)])
def test_a_number_is_finite(old: str, line: int, tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, (old, f"{old.split(':')[0]}: .inf")))
    assert problem.startswith(f"line {line}: ")


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        ("sheet: data/raw/labels.xlsx", "sheets: data/raw/labels.xlsx"),
        ("width: 400", "width: wide"),
        ("Fliplr", "Flip-lr"),
        ("  epochs: 40\n", ""),
        ("[0.2, 0.5]", "[]"),
    )
    assert [problem.split(": ")[1] for problem in problems_of(path)] == [
        "data.sheet",
        "data.sheets",
        "resize.width",
        "augment.pipeline",
        "train.epochs",
        "evaluate.thresholds",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_params(tmp_path / "params.yaml")
    assert str(error.value) == (
        f"{tmp_path / 'params.yaml'}: there is no such file. Run from the project's root, or give --params."
    )


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = saved(tmp_path, ("[0.2, 0.5]", "[0.2, 0.5"))
    with pytest.raises(InputError) as error:
        load_params(path)
    assert str(error.value).startswith(f"{path}: not YAML: ")
    assert "line 57" in str(error.value)


def test_a_key_that_stands_there_twice_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, ("  height: 400", "  height: 400\n  height: 500"))
    with pytest.raises(InputError, match='found duplicate key "height"'):
        load_params(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes("data: Früh".encode("latin-1"))
    with pytest.raises(InputError, match="not YAML: 'utf-8' codec can't decode"):
        load_params(path)


@pytest.mark.parametrize(("text", "found"), [("", "None"), ("- data", "['data']"), ("data", "'data'")])
def test_a_file_without_sections_is_refused(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert problems_of(path) == [f"the file: Input should be a valid dictionary or instance of Params, found {found}"]
