import shutil
import sys
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.onboarding.params_file import apply_to, laid_over
from recipes.__main__ import main
from recipes.catalog import recipe_names, recipe_values
from tests.workspace import PROJECT, run

TEXT = """\
# head
train: # the network
  size: 64 # or [width, height]
  transforms: [] # such as flips
  weights: "random" # or a file

  layer: null

evaluate:
  thresholds: [0.2, 0.5]
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROJECT / "params.yaml", tmp_path))


def test_no_values_leave_every_byte() -> None:
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    assert laid_over(text, {}, "params.yaml") == (text, {})


def test_comments_stay_beside_their_params() -> None:
    text, _ = laid_over(
        TEXT,
        {
            "train.size": [350, 450],
            "train.transforms": [{"RandomErasing": {"p": 0.7, "scale": [0.05, 0.12]}}, {"TrivialAugmentWide": {}}],
            "train.weights": "IMAGENET1K_V1",
            "evaluate.thresholds": [0.5],
        },
        "params.yaml",
    )
    assert text == (
        "# head\n"
        "train: # the network\n"
        "  size: [350, 450] # or [width, height]\n"
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


def test_back_to_the_old_values_is_back_to_the_old_text() -> None:
    old = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    text, changes = laid_over(old, recipe_values("pets_scratch") | {"train.size": [32, 48]}, "params.yaml")
    back = laid_over(text, {name: before for name, (before, _) in changes.items()}, "params.yaml")[0]
    assert back == old


def test_a_value_that_is_there_already_is_no_change() -> None:
    assert laid_over(TEXT, {"train.size": 64, "train.layer": None}, "params.yaml") == (TEXT, {})


def test_an_unknown_param_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"has no train\.sise, but train\.size\. Correct the name"):
        laid_over(TEXT, {"train.sise": 32}, "params.yaml")


def test_a_pipeline_of_the_users_own_may_be_added(params: Path) -> None:
    steps = [{"Fliplr": {"p": 0.5}}]
    apply_to(params, {"augment.pipelines.mine": steps, "augment.pipeline": "mine"})
    assert "    mine:\n      - Fliplr: {p: 0.5}\n" in params.read_text(encoding="utf-8")


def test_a_refused_value_leaves_the_file_as_it_was(params: Path) -> None:
    before = params.read_bytes()
    with pytest.raises(InputError, match=r"params\.yaml would not be valid.*\n.*train\.epochs"):
        apply_to(params, {"train.epochs": 0, "train.seed": 3})
    assert params.read_bytes() == before
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: there is no such file"):
        apply_to(tmp_path / "none.yaml", {})


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=f"'exams' is not a recipe. Choose one of {', '.join(recipe_names())}"):
        recipe_values("exams")


def test_the_command_prints_what_it_changed(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exam", "--params", str(params), "-S", "cluster.clusters=7", "-S", "train.layer=null"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "cluster.clusters: 5 -> 7" in printed
    assert "evaluate.thresholds: [0.2, 0.5] -> [0.2]" in printed
    assert "train.layer: layer2 -> null" in printed
    assert main(["exam", "--params", str(params), "-S", "cluster.clusters=7"]) == 0
    assert capsys.readouterr().out.startswith("0 of ")


def test_an_error_of_the_users_has_no_traceback(params: Path) -> None:
    result = run(PROJECT, sys.executable, "-m", "recipes", "lungs", "--params", str(params), check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("recipes: ")
    assert "data.images is no .npy array" in result.stderr
    assert "Traceback" not in result.stderr
