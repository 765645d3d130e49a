import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from recipes.experiments import finished, override


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


def test_a_failed_experiment_does_not_have_the_metrics_of_its_base_commit() -> None:
    files = {"results/original/metrics.json": {"data": {"map": 0.5}}}
    shown = [
        {"rev": "workspace", "experiments": None},
        {
            "rev": "c0",
            "experiments": [
                {"name": "good", "executor": {"state": "success"}, "revs": [{"data": {"metrics": files}}]},
                {"name": "kept", "executor": None, "revs": [{"data": {"metrics": files}, "error": None}]},
                {"name": "queued", "executor": {"state": "queued"}, "revs": [{"data": {"metrics": files}}]},
                {
                    "name": "bad",
                    "executor": {"state": "failed"},
                    "revs": [{"data": {"metrics": files}, "error": {"msg": "Experiment run failed"}}],
                },
            ],
        },
        {"rev": "b9", "experiments": [{"name": "older", "executor": None, "revs": [{"data": {"metrics": files}}]}]},
    ]
    metrics = {"results/original/metrics.json": {"map": 0.5}}
    assert finished(shown, "c0") == {"good": metrics, "kept": metrics, "queued": None, "bad": None}
