from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from counterweight.base import results_schema, schema
from counterweight.base.command import params_of
from counterweight.base.errors import InputError
from counterweight.base.params import RENAMED, Params, load_params

PROJECT = Path(__file__).parents[2]

PARAMS = """\
data:
  images: data/raw/images
  sheet: data/raw/labels.xlsx
  worksheet: null
  match_names: exact
  duplicate_rows: error
  follow_links: []
  task: multilabel
  columns:
    image: id
    split: split
    labels: target
    group: null
  separator: ","
  values: null
  group_pattern: null
  merge_labels: false
  labels: null
  missing: mask
  missing_files: error
  bad_images: error
  duplicates: report
  max_hash_distance: 4
  max_pixels: 100000000
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
  crop: none
  input_size: [96, 64]
  engine: torch
  seed: 0
impute:
  validation: 0.25
  seed: 0
cluster:
  algorithm: kmeans
  n_components: 50
  n_clusters: 5
  sweep: [3, 4]
  seed: 42
augment:
  strategy: clusters
  resampling: over
  target: majority
  fill_smallest: all
  copy_mode: augmented
  copies_per_image: null
  pipeline: article
  composition: compose
  seed: 0
  quality:
    min_std: 4.0
    min_contrast: 0.25
    max_draws: 10
  guard:
    min_score: 0.9
    min_similarity: 0.5
    max_draws: 3
    fallback: plain
  pipelines:
    article:
      - Fliplr: {p: 0.7}
      - AverageBlur: {k: [2, 7]}
sheet:
  format: xlsx
train:
  arms: [nothing, weights, copies, copies+weights]
  weighting: loss
  repeats: 1
  model: resnet18
  weights: random
  pretrained_until: null
  layer: layer4
  freeze: false
  activation: relu
  pooling: average
  flip_tta: false
  channels: 3
  crop: none
  input_size: 224
  transforms: []
  loss: bce
  optimizer: adam
  learning_rate: 1e-3
  backbone_lr_scale: 1.0
  weight_decay: 0.0
  schedule: none
  epochs: 40
  patience: 5
  monitor: loss
  threshold_metric: f1
  batch_size: 32
  threads: 2
  portable: false
  seed: 0
evaluate:
  thresholds: [0.2, 0.5]
compare:
  bootstrap_samples: 2000
  seed: 0
report:
  images_per_group: 6
  cluster_names: {}
  max_browsed: 400
  seed: 0
  gallery: false
probe:
  folds: 5
  repeats: 5
  max_images: 10000
  max_labels: 100
  max_copied: 200
  copies_per_image: 2
  images_per_augmenter: 40
  metric: macro_f1
  seed: 0
export:
  formats: [folders, webdataset]
leaks:
  min_cosine: 0.8
  max_images: 1000
explain:
  method: lime
  images_per_reason: 2
  patches: 5
  samples: 100
  seed: 0
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
    return [
        Params,
        *{
            kind: None
            for module in (schema, results_schema)
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, schema.Section)
        },
    ]


def test_the_projects_own_params_are_valid() -> None:
    assert isinstance(load_params(PROJECT / "params.yaml"), Params)


def test_values_are_those_of_the_file(tmp_path: Path) -> None:
    loaded = load_params(saved(tmp_path))
    assert (loaded.resize.width, loaded.data.columns.split, loaded.data.labels) == (400, "split", None)
    assert loaded.augment.pipelines["article"] == [{"Fliplr": {"p": 0.7}}, {"AverageBlur": {"k": [2, 7]}}]
    assert loaded.evaluate.thresholds == [0.2, 0.5]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split: split", "split: null"),
        ("labels: target", "labels: [cat, dog]"),
        ("labels: null", "labels: [cat, dog]"),
        ("target: majority", "target: 0.5"),
        ("target: majority", "target: 1"),
        ("target: majority", "target: 500"),
        ("resampling: over\n  target: majority", "resampling: under\n  target: minority"),
        ("resampling: over\n  target: majority", "resampling: both\n  target: 500"),
        ("fill_smallest: all", "fill_smallest: 2"),
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
    assert problems_of(path) == ["line 83: train.freeze: Input should be a valid boolean, found 'no'"]


def test_a_label_called_no_is_a_label(tmp_path: Path) -> None:
    path = saved(tmp_path, ("labels: null", "labels: [yes, no, on, off]"))
    assert load_params(path).data.labels == ["yes", "no", "on", "off"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "  seed: 42\nresize:",
            "  seed: 42\n  sede: 1\nresize:",
            "line 28: data.sede: is not a param. Delete it, or correct its name",
        ),
        ("  width: 400\n", "", "line 28: resize.width: is missing. Add it"),
        ("    image: id\n", "", "line 9: data.columns.image: is missing. Add it"),
        ("evaluate:\n  thresholds: [0.2, 0.5]\n", "", "evaluate: is missing. Add it"),
        ("width: 400", "width: 4e2", "line 29: resize.width: Input should be a valid integer, found 400.0"),
        ("width: 400", "width: '400'", "line 29: resize.width: Input should be a valid integer, found '400'"),
        ("width: 400", "width:", "line 29: resize.width: Input should be a valid integer, found None"),
        ("width: 400", "width: 7", "line 29: resize.width: Input should be greater than or equal to 8, found 7"),
        ("width: 400", "width: 8193", "line 29: resize.width: Input should be less than or equal to 8192, found 8193"),
        ("mode: fit", "mode: pad", "line 31: resize.mode: Input should be 'stretch', 'fit' or 'crop', found 'pad'"),
        ("images: data/raw/images", "images: 3", "line 2: data.images: Input should be a valid string, found 3"),
        ("test: 0.2", "test: 1", "line 25: data.test: Input should be less than 1, found 1"),
        ("test: 0.2", "test: 0", "line 25: data.test: Input should be greater than 0, found 0"),
        (
            "n_clusters: 5",
            "n_clusters: 1",
            "line 47: cluster.n_clusters: Input should be greater than or equal to 2, found 1",
        ),
        (
            "n_clusters: 5",
            "n_clusters: true",
            "line 47: cluster.n_clusters: Input should be a valid integer, found True",
        ),
        (
            "max_draws: 10",
            "max_draws: 0",
            "line 63: augment.quality.max_draws: Input should be greater than or equal to 1, found 0",
        ),
        (
            "copies_per_image: null",
            "copies_per_image: 0",
            "line 56: augment.copies_per_image: Input should be greater than or equal to 1, found 0",
        ),
        (
            "learning_rate: 1e-3",
            "learning_rate: -1",
            "line 93: train.learning_rate: Input should be greater than 0, found -1",
        ),
        ("[0.2, 0.5]", "[0.2, 1.5]", "line 106: evaluate.thresholds.1: Input should be less than 1, found 1.5"),
        ("[0.2, 0.5]", "[0.5, 0.2, 0.5]", "line 106: evaluate.thresholds: 0.5 occurs twice. Delete one"),
        (
            "[folders, webdataset]",
            "[]",
            "line 127: export.formats: List should have at least 1 item after validation, not 0, found []",
        ),
        (
            "sheet:\n  format: xlsx",
            "sheet: xlsx",
            "line 73: sheet: Input should be a valid dictionary or instance of Sheet, found 'xlsx'",
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
            "step 1: 'Flip' is not an operation. Choose one of: Add, AdditiveGaussianNoise, Affine, AverageBlur, "
            "Crop, CropAndPad, Cutout, ElasticTransformation, Fliplr, Flipud, GammaContrast, GaussianBlur, "
            "LinearContrast, MedianBlur, Multiply, MultiplyBrightness, OneOf, PerspectiveTransform, Rotate, "
            "SaltAndPepper, SomeOf, Sometimes",
        ),
        ("{k: [2, 7]}", "{kernel: 3}", "step 2: AverageBlur has no argument 'kernel'. Choose from: k"),
        (
            "{p: 0.7}",
            "{p: 7}",
            "step 1: Fliplr: p is 7. Give a number, at least 0 and at most 1",
        ),
        ("Fliplr: {p: 0.7}", "Fliplr: 0.7", "step 1: Fliplr needs its arguments by name. Choose from: p"),
    ],
)
def test_an_invalid_augmenter_is_answered_with_the_valid_ones(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, (old, new))) == [f"line 70: augment.pipelines.article: {problem}"]


def test_all_invalid_augmenters_are_reported(tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, ("{p: 0.7}", "{q: 1}"), ("{k: [2, 7]}", "{kernel: 3}")))
    assert problem == (
        "line 70: augment.pipelines.article: step 1: Fliplr has no argument 'q'. Choose from: p; "
        "step 2: AverageBlur has no argument 'kernel'. Choose from: k"
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("freeze: false", "freeze: true", "line 83: train.freeze: cnn7 is trained from scratch. Set it to false"),
        (
            "weights: random", "weights: IMAGENET1K_V1",
            "line 80: train.weights: cnn7 is trained from scratch. Set it to random",
        ),
    ],
)  # fmt: skip
def test_cnn7_is_trained_from_scratch(old: str, new: str, problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path, ("repeats: 1\n  model: resnet18", "repeats: 1\n  model: cnn7"), (old, new))
    assert problems_of(path) == [f"{problem}, or choose a torchvision classifier"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("target: majority", "target: 1.5"),
        ("target: majority", "target: rarest"),
        ("fill_smallest: all", "fill_smallest: 0"),
        ("fill_smallest: all", "fill_smallest: few"),
        ("labels: target", "labels: []"),
        ("labels: target", "labels: 3"),
        ("labels: target", "labels: [cat, 3]"),
    ],
)
def test_one_mistake_is_one_problem(old: str, new: str, tmp_path: Path) -> None:
    assert len(problems_of(saved(tmp_path, (old, new)))) == 1


@pytest.mark.parametrize(("old", "line"), [("labels: target", 12), ("labels: null", 18)])
def test_a_label_that_occurs_twice_is_an_error(old: str, line: int, tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, (old, "labels: [cat, dog, cat]")))
    assert problem.startswith(f"line {line}: ")
    assert "'cat'" in problem


@pytest.mark.parametrize(("old", "line"), [("learning_rate: 1e-3", 93), ("min_std: 4.0", 61)])
def test_a_number_is_finite(old: str, line: int, tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, (old, f"{old.split(':')[0]}: .inf")))
    assert problem.startswith(f"line {line}: ")


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
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
        "augment.pipelines.article",
        "train.epochs",
        "evaluate.thresholds",
    ]


def with_former_name(former: str, current: str) -> tuple[str, int]:
    """Return params with a section or a param under its former name, in its former section, and the line of it."""
    (section, _, param), (former_section, _, former_param) = current.partition("."), former.partition(".")
    lines = PARAMS.splitlines()
    number = lines.index(f"{section}:")
    if not param:
        lines[number] = f"{former_section}:"
        return "\n".join(lines), number + 1
    line = lines.pop(next(i for i in range(number, len(lines)) if lines[i].startswith(f"  {param}: ")))
    number = lines.index(f"{former_section}:") + 1
    lines.insert(number, line.replace(param, former_param, 1))
    return "\n".join(lines), number + 1


@pytest.mark.parametrize(("former", "current"), RENAMED.items())
def test_a_former_name_is_answered_with_the_current_one(former: str, current: str, tmp_path: Path) -> None:
    text, line = with_former_name(former, current)
    (tmp_path / "params.yaml").write_text(text)
    # The current name is not reported as missing.
    assert problems_of(tmp_path / "params.yaml") == [f"line {line}: {former}: was renamed to {current}. Rename it"]


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_a_former_weighted_loss_is_answered_with_the_arm_that_weights(loss: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, ("loss: bce", f"loss: weighted_{loss}"))) == [
        f"line 91: train.loss: weights are an arm now. Set this to {loss}, and add weights to train.arms"
    ]


def test_all_former_names_are_reported_together(tmp_path: Path) -> None:
    changes = [("n_clusters: 5", "clusters: 5"), ("flip_tta: false", "mirror: false"), ("sheet:\n", "split:\n")]
    assert problems_of(saved(tmp_path, *changes)) == [
        "line 47: cluster.clusters: was renamed to cluster.n_clusters. Rename it",
        "line 73: split: was renamed to sheet. Rename it",
        "line 86: train.mirror: was renamed to train.flip_tta. Rename it",
    ]


def test_a_current_name_that_is_missing_is_still_reported_without_its_former_one(tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, ("  n_clusters: 5\n", ""))) == [
        "line 44: cluster.n_clusters: is missing. Add it"
    ]


def test_current_names_are_params_and_former_names_are_not() -> None:
    names = set(params_of("Params  " + ", ".join(Params.model_fields))) | set(Params.model_fields)
    assert set(RENAMED.values()) <= names
    assert names.isdisjoint(RENAMED)


@pytest.mark.parametrize(("former", "current"), [("whole", "none"), ("centre", "center")])
@pytest.mark.parametrize(("before", "name", "line"), [("layer4\n", "features", 37), ("channels: 3\n", "train", 88)])
def test_a_former_value_of_crop_is_answered_with_the_current_one(
    former: str, current: str, before: str, name: str, line: int, tmp_path: Path
) -> None:
    path = saved(tmp_path, (f"{before}  crop: none", f"{before}  crop: {former}"))
    assert problems_of(path) == [f"line {line}: {name}.crop: '{former}' was renamed to {current}. Rename it"]


def test_a_former_value_means_nothing_elsewhere(tmp_path: Path) -> None:
    path = saved(tmp_path, ("mode: fit", "mode: whole"))
    assert problems_of(path) == ["line 31: resize.mode: Input should be 'stretch', 'fit' or 'crop', found 'whole'"]


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
    assert "line 106" in str(error.value)


def test_a_key_that_occurs_twice_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, ("  height: 400", "  height: 400\n  height: 500"))
    with pytest.raises(InputError, match='found duplicate key "height"'):
        load_params(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes("data: Früh".encode("latin-1"))
    with pytest.raises(InputError, match="not YAML: 'utf-8' codec can't decode"):
        load_params(path)


@pytest.mark.parametrize(("text", "content"), [("", "None"), ("- data", "['data']"), ("data", "'data'")])
def test_a_file_without_sections_is_refused(text: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert problems_of(path) == [f"the file: Input should be a valid dictionary or instance of Params, found {content}"]


ONE_LABEL = ("task: multilabel", "task: multiclass")


def test_cross_entropy_needs_one_label_per_image(tmp_path: Path) -> None:
    loss = ("loss: bce", "loss: cross_entropy")
    assert problems_of(saved(tmp_path, loss)) == [
        "line 91: train.loss: cross_entropy needs one label per image, but data.task is multilabel. "
        "Choose another loss, or another task"
    ]
    assert load_params(saved(tmp_path, loss, ONE_LABEL)).train.loss == "cross_entropy"


ARMS = "arms: [nothing, weights, copies, copies+weights]"


@pytest.mark.parametrize("arms", [["nothing", "copies"], ["copies+weights", "copies", "nothing"]])
def test_arms_are_nothing_and_copies_at_least(arms: list[str], tmp_path: Path) -> None:
    assert load_params(saved(tmp_path, (ARMS, f"arms: [{', '.join(arms)}]"))).train.arms == arms


@pytest.mark.parametrize(
    ("arms", "missing"),
    [("[copies, weights]", "nothing"), ("[nothing, weights, copies+weights]", "copies"), ("[]", "nothing")],
)
def test_a_comparison_needs_its_baseline_and_copies(arms: str, missing: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, (ARMS, f"arms: {arms}"))) == [
        f"line 76: train.arms: {missing} is missing, but copies are judged against nothing. Add it"
    ]


@pytest.mark.parametrize(
    ("arms", "problem"),
    [
        ("[nothing, copies, copies]", "train.arms: 'copies' occurs twice. Delete one"),
        (
            "[nothing, copies, balanced]",
            "train.arms.2: Input should be 'nothing', 'weights', 'copies' or 'copies+weights', found 'balanced'",
        ),
    ],
)
def test_arms_are_remedies_each_of_them_once(arms: str, problem: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, (ARMS, f"arms: {arms}"))) == [f"line 76: {problem}"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "weighting: loss",
            "weighting: none",
            "line 77: train.weighting: Input should be 'loss' or 'sampler', found 'none'",
        ),
        ("repeats: 1\n", "repeats: 0\n", "line 78: train.repeats: Input should be greater than or equal to 1, found 0"),
        (
            "repeats: 1\n",
            "repeats: 101\n",
            "line 78: train.repeats: Input should be less than or equal to 100, found 101",
        ),
        (
            "bootstrap_samples: 2000",
            "bootstrap_samples: 99",
            "line 108: compare.bootstrap_samples: Input should be greater than or equal to 100, found 99",
        ),
    ],
)
def test_weighting_repeats_and_bootstrap_samples_are_bounded(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, (old, new))) == [problem]


FROZEN = ("freeze: false", "freeze: true")
PRETRAINED = ("weights: random\n  pretrained_until", "weights: w.pth\n  pretrained_until")
LBFGS = ("optimizer: adam", "optimizer: lbfgs")


def test_lbfgs_needs_a_frozen_network(tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, LBFGS)) == [
        "line 92: train.optimizer: lbfgs trains a head on fixed features. Set train.freeze to true, or this to adam"
    ]
    assert load_params(saved(tmp_path, LBFGS, FROZEN)).train.optimizer == "lbfgs"


@pytest.mark.parametrize(("model", "frozen"), [("cnn7", []), ("vgg19_convs", [FROZEN])])
def test_lbfgs_needs_a_linear_head(model: str, frozen: list[tuple[str, str]], tmp_path: Path) -> None:
    changes = [("repeats: 1\n  model: resnet18", f"repeats: 1\n  model: {model}"), LBFGS, *frozen]
    assert problems_of(saved(tmp_path, *changes)) == [
        f"line 92: train.optimizer: lbfgs trains a linear head on fixed features, not {model}. Set it to adam"
    ]


def test_lbfgs_is_repeated_only_where_seeds_matter(tmp_path: Path) -> None:
    repeats, sampler = ("repeats: 1\n", "repeats: 3\n"), ("weighting: loss", "weighting: sampler")
    assert problems_of(saved(tmp_path, LBFGS, FROZEN, PRETRAINED, repeats)) == [
        "line 78: train.repeats: lbfgs comes to the same network from each seed. Set this to 1"
    ]
    # Seeds draw a random body, and the images of a weighted sampler; Adam also begins elsewhere.
    for changes in ([LBFGS, FROZEN], [LBFGS, FROZEN, PRETRAINED, sampler], [FROZEN, PRETRAINED], [PRETRAINED]):
        assert load_params(saved(tmp_path, *changes, repeats)).train.repeats == 3


def test_filling_classes_needs_one_label_per_image(tmp_path: Path) -> None:
    classes = ("strategy: clusters", "strategy: classes")
    assert problems_of(saved(tmp_path, classes)) == [
        "line 51: augment.strategy: classes needs one label per image, but data.task is multilabel. "
        "Choose labels, or another task"
    ]
    assert load_params(saved(tmp_path, classes, ONE_LABEL)).augment.strategy == "classes"


@pytest.mark.parametrize(
    ("resampling", "target", "problem"),
    [
        (
            "under",
            "majority",
            "leaves no image out, but augment.resampling is under. Set a fraction or a number of images",
        ),
        (
            "both",
            "majority",
            "leaves no image out, but augment.resampling is both. Set a fraction or a number of images",
        ),
        ("over", "minority", "needs augment.resampling: under, not over. Set one of them otherwise"),
        ("both", "minority", "needs augment.resampling: under, not both. Set one of them otherwise"),
    ],
)
def test_the_target_fits_the_resampling(tmp_path: Path, resampling: str, target: str, problem: str) -> None:
    changes = [("resampling: over", f"resampling: {resampling}"), ("target: majority", f"target: {target}")]
    assert problems_of(saved(tmp_path, *changes)) == [f"line 53: augment.target: {target} {problem}"]


def test_undersampling_needs_groups(tmp_path: Path) -> None:
    changes = [
        ("strategy: clusters", "strategy: none"), ("resampling: over", "resampling: under"),
        ("target: majority", "target: 0.5"),
    ]  # fmt: skip
    assert problems_of(saved(tmp_path, *changes)) == [
        "line 51: augment.strategy: none has no groups, but augment.resampling is under. Choose a strategy"
    ]


def test_images_without_a_column_are_an_array(tmp_path: Path) -> None:
    without = ("image: id", "image: null")
    assert problems_of(saved(tmp_path, without)) == [
        "line 10: data.columns.image: is null, but data.images is not a .npy array. Name the column"
    ]
    array = ("images: data/raw/images", "images: data/raw/images.npy")
    assert load_params(saved(tmp_path, without, array)).data.columns.image is None


def test_all_conflicts_are_reported_together(tmp_path: Path) -> None:
    changes = [("loss: bce", "loss: cross_entropy"), ("strategy: clusters", "strategy: classes")]
    assert [problem.split(": ")[:2] for problem in problems_of(saved(tmp_path, *changes))] == [
        ["line 51", "augment.strategy"],
        ["line 91", "train.loss"],
    ]


def test_conflicts_are_reported_together_with_invalid_values(tmp_path: Path) -> None:
    changes = [("loss: bce", "loss: cross_entropy"), ("epochs: 40", "epochs: 0"), ("width: 400", "widht: 400")]
    assert [problem.rpartition(": ")[0].split(": ")[:2] for problem in problems_of(saved(tmp_path, *changes))] == [
        ["line 28", "resize.width"],
        ["line 29", "resize.widht"],
        ["line 91", "train.loss"],
        ["line 97", "train.epochs"],
    ]


@pytest.mark.parametrize("name", ["article", "plain", "null"])
def test_the_fallback_is_a_pipeline_or_plain_or_none(tmp_path: Path, name: str) -> None:
    assert load_params(saved(tmp_path, ("fallback: plain", f"fallback: {name}"))).augment.guard is not None
    assert problems_of(saved(tmp_path, ("fallback: plain", "fallback: soft"))) == [
        "line 68: augment.guard.fallback: 'soft' is not in augment.pipelines. Choose one of: article; or plain, or null"
    ]


def test_the_fallback_is_not_the_word_null(tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, ("fallback: plain", "fallback: 'null'")))
    assert "'null' is not in augment.pipelines" in problem


def test_no_pipeline_is_called_plain(tmp_path: Path) -> None:
    changes = [("pipeline: article", "pipeline: plain"), ("    article:\n", "    plain:\n")]
    assert problems_of(saved(tmp_path, *changes)) == [
        "line 70: augment.pipelines.plain: plain means the image itself, without a pipeline. Choose another name"
    ]


def test_pipeline_is_one_of_the_pipelines(tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, ("pipeline: article", "pipeline: gentle"))) == [
        "line 57: augment.pipeline: 'gentle' is not in augment.pipelines. Choose one of: article"
    ]


def test_input_size_is_one_number_or_width_and_height(tmp_path: Path) -> None:
    assert load_params(saved(tmp_path)).train.width_and_height == (224, 224)
    assert load_params(saved(tmp_path, ("input_size: 224", "input_size: [48, 32]"))).train.width_and_height == (48, 32)
    assert load_params(saved(tmp_path)).features.input_size == [96, 64]


@pytest.mark.parametrize("size", ["[48]", "[48, 32, 3]", "7", "[48, 7]", "48x32"])
def test_other_sizes_are_refused(size: str, tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, ("input_size: 224", f"input_size: {size}")))
    assert problem.startswith("line 89: train.input_size")


@pytest.mark.parametrize("model", ["cnn7", "cnn0", "convnet6", "squeezenet1_0", "mobilenet_v3_small", "vit_b_16"])
def test_model_is_an_own_or_a_torchvision_network(model: str, tmp_path: Path) -> None:
    changes = [
        ("repeats: 1\n  model: resnet18", f"repeats: 1\n  model: {model}"),
        ("layer: layer4\n  freeze", "layer: null\n  freeze"),
    ]
    assert load_params(saved(tmp_path, *changes)).train.model == model


def test_unknown_model_is_answered_with_a_similar_one(tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, ("repeats: 1\n  model: resnet18", "repeats: 1\n  model: resnet-18")))
    assert problem == (
        "line 79: train.model: 'resnet-18' is not a model. Choose one of cnn7, cnn3, cnn2_dropout, cnn1, cnn0, "
        "convnet6, vgg19_convs, a torchvision classifier such as resnet18, or timm/NAME"
    )


def test_networks_of_timm_are_used_whole(tmp_path: Path) -> None:
    model = ("features:\n  model: resnet18", "features:\n  model: timm/resnet10t")
    assert [problem.partition(": ")[2] for problem in problems_of(saved(tmp_path, model))] == [
        "features.weights: timm/resnet10t has no weights of that name. Set it to pretrained, or to a file",
        "features.layer: timm/resnet10t is used whole. Set it to null, or choose a torchvision classifier",
    ]
    whole = (model, ("layer: layer4\n  crop: none\n  input", "layer: null\n  crop: none\n  input"))
    pretrained = ("weights: IMAGENET1K_V1\n  layer: null", "weights: pretrained\n  layer: null")
    assert load_params(saved(tmp_path, *whole, pretrained)).features.model == "timm/resnet10t"


def test_timms_weights_have_no_names(tmp_path: Path) -> None:
    changes = [
        ("features:\n  model: resnet18", "features:\n  model: timm/resnet10t"),
        ("layer: layer4\n  crop: none\n  input", "layer: null\n  crop: none\n  input"),
    ]
    assert [problem.partition(": ")[2] for problem in problems_of(saved(tmp_path, *changes))] == [
        "features.weights: timm/resnet10t has no weights of that name. Set it to pretrained, or to a file"
    ]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("'(.+)_('", "is no regular expression: missing ), unterminated subpattern at position 5. Correct it"),
        ("'.+_'", "has 0 pairs of brackets. Put one pair around what names the group"),
    ],
)
def test_a_group_pattern_has_one_pair_of_brackets(pattern: str, problem: str, tmp_path: Path) -> None:
    changes = ("group_pattern: null", f"group_pattern: {pattern}")
    assert problems_of(saved(tmp_path, changes)) == [f"line 16: data.group_pattern: {pattern} {problem}"]


def test_groups_are_in_a_column_or_in_names(tmp_path: Path) -> None:
    changes = [("group: null", "group: patient"), ("group_pattern: null", "group_pattern: (.+)_")]
    assert [problem.partition(": ")[2] for problem in problems_of(saved(tmp_path, *changes))] == [
        "data.group_pattern: data.columns.group names a column of groups. Set one of them to null"
    ]


def test_torchvisions_weights_have_names(tmp_path: Path) -> None:
    weights = ("weights: IMAGENET1K_V1\n  layer: layer4", "weights: pretrained\n  layer: layer4")
    assert [problem.partition(": ")[2] for problem in problems_of(saved(tmp_path, weights))] == [
        "features.weights: resnet18 has weights by name. Set it to one such as IMAGENET1K_V1"
    ]


def test_vgg19_convs_need_a_frozen_vgg19(tmp_path: Path) -> None:
    model = ("repeats: 1\n  model: resnet18", "repeats: 1\n  model: vgg19_convs")
    assert problems_of(saved(tmp_path, model)) == [
        "line 83: train.freeze: vgg19_convs needs a frozen VGG19. Set it to true, or train.model to vgg19"
    ]
    assert load_params(saved(tmp_path, model, ("freeze: false", "freeze: true"))).train.freeze


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("repeats: 1\n  model: resnet18", "repeats: 1\n  model: cnn7"), ("pooling: average", "pooling: pyramid")],
            "cnn7 does not support pyramid. Set it to average or max",
        ),
        (
            [("layer: layer4\n  freeze", "layer: null\n  freeze"), ("pooling: average", "pooling: max")],
            "max needs train.layer, which is null. Name a layer, or set average",
        ),
    ],
)
def test_pooling_needs_a_layer(changes: list[tuple[str, str]], problem: str, tmp_path: Path) -> None:
    assert problems_of(saved(tmp_path, *changes)) == [f"line 85: train.pooling: {problem}"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("repeats: 1\n  model: resnet18", "repeats: 1\n  model: cnn7")],
            "cnn7 does not support it. Set it to null, or choose a torchvision classifier",
        ),
        ([], "train.weights is random. Set this to null, or name pretrained weights"),
        (
            [
                ("weights: random\n  pretrained_until", "weights: w.pth\n  pretrained_until"),
                ("freeze: false", "freeze: true"),
            ],
            "train.freeze would keep the layers after it random. Set this to null, or train.freeze to false",
        ),
    ],
)
def test_pretrained_until_needs_weights_and_a_trained_torchvision_network(
    changes: list[tuple[str, str]], problem: str, tmp_path: Path
) -> None:
    assert problems_of(saved(tmp_path, *changes, ("pretrained_until: null", "pretrained_until: layer3"))) == [
        f"line 81: train.pretrained_until: {problem}"
    ]


@pytest.mark.parametrize("model", ["cnn7", "vgg19_convs"])
def test_flip_tta_needs_a_torchvision_network(model: str, tmp_path: Path) -> None:
    changes = [
        ("repeats: 1\n  model: resnet18", f"repeats: 1\n  model: {model}"),
        ("flip_tta: false", "flip_tta: true"),
    ]
    problem = (
        f"line 86: train.flip_tta: {model} does not support it. Set it to false, or choose a torchvision classifier"
    )
    assert problem in problems_of(saved(tmp_path, *changes))


def test_torchvision_networks_need_color(tmp_path: Path) -> None:
    (problem,) = problems_of(saved(tmp_path, ("channels: 3", "channels: 1")))
    assert problem.startswith(
        "line 87: train.channels: resnet18 needs color images. Set it to 3, or choose one of cnn7, "
    )


def test_frozen_body_and_transforms_exclude_each_other(tmp_path: Path) -> None:
    flip = ("transforms: []", "transforms: [{RandomHorizontalFlip: {p: 0.5}}]")
    assert load_params(saved(tmp_path, flip)).train.transforms == [{"RandomHorizontalFlip": {"p": 0.5}}]
    assert problems_of(saved(tmp_path, flip, ("freeze: false", "freeze: true"))) == [
        "line 90: train.transforms: train.freeze computes features once, without transforms. "
        "Set train.freeze to false, or train.transforms to []"
    ]


def test_invalid_transform_is_answered_with_the_valid_ones(tmp_path: Path) -> None:
    path = saved(tmp_path, ("transforms: []", "transforms: [{RandomGrayscale: {p: 2}}]"))
    assert problems_of(path) == [
        "line 90: train.transforms: step 1: RandomGrayscale: p is 2. Give a number, at least 0 and at most 1"
    ]
