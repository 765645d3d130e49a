import shutil
import sys
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.onboarding.params_file import apply_overlay, overlay
from recipes.__main__ import main
from recipes.catalog import recipe_names, recipe_values
from tests.workspace import PROJECT, run

TEXT = """\
# head
train: # the network
  input_size: 64 # or [width, height]
  transforms: [] # such as flips
  weights: "random" # or a file

  layer: null

evaluate:
  thresholds: [0.2, 0.5]
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROJECT / "params.yaml", tmp_path))


def test_a_section_that_may_be_null_is_replaced_as_a_whole() -> None:
    text = "augment:\n  guard: # redraws\n    min_score: 0.9 # of the source's\n    max_draws: 3\n  seed: 0\n"
    changed, changes = overlay(text, {"augment.guard": None}, "params.yaml")
    assert changed == "augment:\n  guard: null # redraws\n  seed: 0\n"
    assert changes == {"augment.guard": ({"min_score": 0.9, "max_draws": 3}, None)}


def test_a_section_that_may_be_null_cannot_be_another_value() -> None:
    with pytest.raises(InputError, match=r"has no augment\.guard"):
        overlay("augment:\n  guard:\n    min_score: 0.9\n", {"augment.guard": "off"}, "params.yaml")


def test_without_values_the_text_stays() -> None:
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    assert overlay(text, {}, "params.yaml") == (text, {})


def test_comments_stay_beside_their_params() -> None:
    text, _ = overlay(
        TEXT,
        {
            "train.input_size": [350, 450],
            "train.transforms": [{"RandomErasing": {"p": 0.7, "scale": [0.05, 0.12]}}, {"TrivialAugmentWide": {}}],
            "train.weights": "IMAGENET1K_V1",
            "evaluate.thresholds": [0.5],
        },
        "params.yaml",
    )
    assert text == (
        "# head\n"
        "train: # the network\n"
        "  input_size: [350, 450] # or [width, height]\n"
        "  transforms: # such as flips\n"
        "    - RandomErasing: {p: 0.7, scale: [0.05, 0.12]}\n"
        "    - TrivialAugmentWide: {}\n"
        '  weights: "IMAGENET1K_V1" # or a file\n'
        "\n"
        "  layer: null\n"
        "\n"
        "evaluate:\n"
        "  thresholds: [0.5]\n"
    )


def test_old_values_restore_the_old_text() -> None:
    old = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    text, changes = overlay(old, recipe_values("pets_scratch") | {"train.input_size": [32, 48]}, "params.yaml")
    back = overlay(text, {name: before for name, (before, _) in changes.items()}, "params.yaml")[0]
    assert back == old


def test_an_equal_value_is_no_change() -> None:
    assert overlay(TEXT, {"train.input_size": 64, "train.layer": None}, "params.yaml") == (TEXT, {})


def test_an_unknown_param_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"has no train\.input_sise, but train\.input_size\. Correct the name"):
        overlay(TEXT, {"train.input_sise": 32}, "params.yaml")


def test_users_may_add_a_pipeline(params: Path) -> None:
    steps = [{"Fliplr": {"p": 0.5}}]
    apply_overlay(params, {"augment.pipelines.mine": steps, "augment.pipeline": "mine"})
    assert "    mine:\n      - Fliplr: {p: 0.5}\n" in params.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ("a: {b: 1, c: 2} # of all\n", {"a.b": [3]}, "a: {b: [3], c: 2} # of all\n"),
        ("a:\n  b: # one\n    - X: {}\n    # two\n    - Y: {}\n\n  c: 2", {"a.b": []}, "a:\n  b: [] # one\n\n  c: 2"),
        ("a:\n  b: # none\n  c: 2", {"a.b": "x, y", "a.c": None}, "a:\n  b: 'x, y' # none\n  c: null"),
        ("a: &one 1\nb: *one # the same\n", {"b": 2}, "a: &one 1\nb: 2 # the same\n"),
        ("a: |\n  text\nb: 1 # and\n", {"a": "none", "b": 2}, 'a: "none"\nb: 2 # and\n'),
        ("augment: {pipelines: {a: 1}}\n", {"augment.pipelines.b": 2}, "augment: {pipelines: {a: 1, b: 2}}\n"),
        ("a: 'x' # quoted\n", {"a": "y"}, "a: 'y' # quoted\n"),
    ],
)
def test_layout_around_a_value_stays(before: str, values: dict[str, object], after: str) -> None:
    assert overlay(before, values, "params.yaml")[0] == after


def test_an_invalid_value_leaves_the_file_unchanged(params: Path) -> None:
    before = params.read_bytes()
    with pytest.raises(InputError, match=r"params\.yaml would not be valid.*\n.*train\.epochs"):
        apply_overlay(params, {"train.epochs": 0, "train.seed": 3})
    assert params.read_bytes() == before
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: there is no such file"):
        apply_overlay(tmp_path / "none.yaml", {})


def test_an_unknown_recipe_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=f"'exams' is not a recipe. Choose one of {', '.join(recipe_names())}"):
        recipe_values("exams")


def test_the_command_prints_its_changes(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exam", "--params", str(params), "-S", "cluster.n_clusters=7", "-S", "train.layer=null"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "cluster.n_clusters: 5 -> 7" in printed
    assert "evaluate.thresholds: [0.2, 0.5] -> [0.2]" in printed
    assert "train.layer: layer2 -> null" in printed
    assert main(["exam", "--params", str(params), "-S", "cluster.n_clusters=7"]) == 0
    assert capsys.readouterr().out.startswith("0 of ")


def test_a_users_error_has_no_traceback(params: Path) -> None:
    result = run(PROJECT, sys.executable, "-m", "recipes", "lungs", "--params", str(params), check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("recipes: ")
    assert "data.images is not a .npy array" in result.stderr
    assert "Traceback" not in result.stderr
