import json
import shutil
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.base.params import load_params
from stages.recommend import main
from tests.conftest import run_stage
from tests.workspace import PROJECT

SUMMARY = {
    "sentence": "Recommended: weights.",
    "settings": {"train.arms": ["nothing", "weights", "copies"], "augment.strategy": "none"},
}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recommendation, and the project's params.yaml."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/remedies.json").write_text(json.dumps(SUMMARY))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(PROJECT / "params.yaml", tmp_path))


def test_the_recommendation_is_written_and_its_changes_are_shown(
    params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == "2 params changed in params.yaml. Next: dvc repro"
    changed = load_params(params)
    assert (changed.augment.strategy, changed.train.arms) == ("none", ["nothing", "weights", "copies"])
    assert capsys.readouterr().out == (
        "Recommended: weights.\n"
        "train.arms: [nothing, weights, copies, copies+weights] -> [nothing, weights, copies]\n"
        "augment.strategy: clusters -> none\n"
    )


def test_a_dry_run_changes_nothing(params: Path) -> None:
    before = params.read_bytes()
    assert main(["--dry-run"]).startswith("2 params would change")
    assert params.read_bytes() == before


def test_without_a_recommendation_it_says_which_stage_makes_it(params: Path) -> None:
    (params.parent / "results/remedies.json").unlink()
    with pytest.raises(InputError, match=r"no such file\. Run dvc repro probe first"):
        main([])


def test_the_probes_own_recommendation_is_valid(probed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(probed, tmp_path / "project"))
    run_stage(folder, "recommend")
    load_params(folder / "params.yaml")
