from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from counterweight.base.params import load_params
from recipes.experiments import finished, override, untracked_paths
from tests.workspace import run, write_params


@pytest.mark.parametrize(
    "value",
    [
        None, False, 32, 5e-4, 1e-05, "none", "null", "1e3", "", "/a b/r.pth", "x=y, [z]: {é}", "it's", 'a "b": c',
        [0.2, 0.5], [], [{"RandomErasing": {"p": 0.7, "scale": [0.05, 0.12]}}, {"TrivialAugmentWide": {}}],
    ],
)  # fmt: skip
def test_hydra_reads_the_value_of_an_override(value: object) -> None:
    parsed = OverridesParser.create().parse_override(override("train.x", value))
    assert (parsed.key_or_group, parsed.value()) == ("train.x", value)


def test_an_experiment_that_failed_or_waits_has_not_succeeded() -> None:
    shown = [
        {"rev": "workspace", "experiments": None},
        {
            "rev": "c0",
            "experiments": [
                {"name": "good", "executor": {"state": "success"}, "revs": [{}]},
                {"name": "kept", "executor": None, "revs": [{"error": None}]},
                {"name": "queued", "executor": {"state": "queued"}, "revs": [{}]},
                {"name": "bad", "executor": {"state": "failed"}, "revs": [{"error": {"msg": "Experiment run failed"}}]},
            ],
        },
        {"rev": "b9", "experiments": [{"name": "older", "executor": None, "revs": [{}]}]},
    ]
    assert finished(shown, "c0") == {"good": True, "kept": True, "queued": False, "bad": False}


def test_only_paths_that_nobody_tracks_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        run(tmp_path, *command)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("id,target\n")
    run(tmp_path, "git", "add", "labels.csv")
    write_params(tmp_path / "params.yaml", {"data.images": "photos", "data.sheet": "labels.csv"})
    assert untracked_paths(load_params(tmp_path / "params.yaml")) == {"data.images": str(tmp_path / "photos")}
