from recipes.experiments import finished


def test_a_failed_experiment_does_not_pass_for_the_commits_metrics() -> None:
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
