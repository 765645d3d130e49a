"""The whole pipeline by DVC's own commands, on tiny data, in a project of its own. The tests build on each other."""

import csv
import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest

from tests.conftest import TINY, make_tiny_data
from tests.workspace import make_workspace, run, shell

OUTPUTS = ("data", "features", "augmented", "results")
COPIES = [f"{stage}@{arm}" for stage in ("train", "evaluate") for arm in ("copies", "copies+weights")]
COPIES += ["compare", "explain", "report"]


def ran(output: str) -> list[str]:
    """Names of the stages that a dvc command ran, in its order."""
    return re.findall(r"Running stage '([^']+)'", output)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for output in OUTPUTS
        for path in (folder / output).rglob("[!.]*")
        if path.is_file() and path.name != ".gitignore"
    }


@pytest.fixture(scope="module")
def project(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project after `dvc repro` and a commit."""
    folder = tmp_path_factory.mktemp("project") / "project"
    shutil.copytree(reproduced, folder, ignore=shutil.ignore_patterns(".counterweight"))
    return folder


def test_first_run_runs_every_stage(reproduced: Path) -> None:
    assert len(ran((reproduced / ".git/repro.log").read_text())) == 19


def test_another_run_does_nothing(project: Path) -> None:
    result = run(project, "dvc", "repro")
    assert ran(result.stdout) == []
    assert "Data and pipelines are up to date." in result.stdout


def test_outputs_are_ignored_by_git_but_for_metrics_and_plots(project: Path) -> None:
    tracked = run(project, "git", "ls-files", *OUTPUTS).stdout.split()
    assert sorted(path for path in tracked if not path.endswith(".gitignore")) == [
        "features/sweep.csv",
        "results/arms/copies+weights/history.csv",
        "results/arms/copies/history.csv",
        "results/arms/nothing/history.csv",
        "results/comparison.svg",
        "results/remedies.svg",
        "results/summary.json",
    ]


@pytest.mark.slow
def test_same_bytes_in_another_place_with_one_worker(project: Path, tmp_path: Path) -> None:
    make_tiny_data(tmp_path)
    make_workspace(tmp_path, TINY)
    run(tmp_path, "dvc", "repro", COUNTERWEIGHT_WORKERS="1")
    assert digests(tmp_path) == digests(project)


@pytest.mark.slow
def test_a_cluster_param_starts_at_cluster_and_leaves_the_arm_without_copies(project: Path) -> None:
    result = shell(project, "dvc exp run -S cluster.n_clusters=4")
    assert sorted(ran(result.stdout)) == sorted(["cluster", "probe", "augment", "sheet", "export", *COPIES])
    assert len(json.loads((project / "features/cluster.json").read_text())["sizes"]) == 4


@pytest.mark.slow
def test_params_diff_shows_the_setting(project: Path) -> None:
    rows = json.loads(run(project, "dvc", "params", "diff", "--json").stdout)
    assert rows == {"params.yaml": {"cluster.n_clusters": {"old": 3, "new": 4, "diff": 1}}}


@pytest.mark.slow
def test_metrics_diff_compares_with_the_last_commit(project: Path) -> None:
    rows = json.loads(run(project, "dvc", "metrics", "diff", "--json").stdout)
    assert set(rows) <= {"results/summary.json"}
    numbers = json.loads(run(project, "dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert list(numbers) == ["results/summary.json"]


@pytest.mark.slow
def test_earlier_settings_come_back_without_work_but_for_the_sheet_that_people_may_have_changed(project: Path) -> None:
    after = digests(project)
    run(project, "git", "checkout", "--quiet", "params.yaml")
    result = run(project, "dvc", "repro")
    assert "is cached - skipping run" in result.stdout
    assert ran(result.stdout) == ["sheet"]
    assert digests(project) != after
    assert run(project, "git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
def test_a_named_experiment_starts_at_augment(project: Path) -> None:
    result = shell(project, "dvc exp run -S augment.target=0.5 --name half")
    assert sorted(ran(result.stdout)) == sorted(["probe", "augment", "sheet", "export", *COPIES])
    sizes = json.loads((project / "augmented/augment.json").read_text())["sizes"]
    assert sizes["2"] == round(sizes["0"] * 0.5)
    run(project, "git", "checkout", "--quiet", ".")
    run(project, "dvc", "checkout", "--quiet")


@pytest.mark.slow
def test_queued_experiments_train_and_evaluate_only(project: Path) -> None:
    shell(project, "dvc exp run --queue -S train.monitor=loss,f1")
    result = shell(project, "dvc exp run --run-all")
    assert {name.partition("@")[0] for name in ran(result.stdout)} == {
        "train",
        "evaluate",
        "compare",
        "explain",
        "report",
    }


@pytest.mark.slow
def test_exp_show_lists_the_experiments_with_their_metrics(project: Path) -> None:
    table = pd.read_csv(io.StringIO(run(project, "dvc", "exp", "show", "--csv").stdout))
    assert "half" in table["Experiment"].tolist()
    assert table["train.monitor"].tolist().count("f1") == 1
    half = table[table["Experiment"] == "half"].iloc[0]
    assert half["augment.target"] == "0.5"
    assert half["copies.map"] > 0


@pytest.mark.slow
def test_experiment_is_taken_over_and_left_again(project: Path) -> None:
    shell(project, "dvc exp apply half")
    assert "target: 0.5" in (project / "params.yaml").read_text()
    shell(project, "git checkout params.yaml && dvc repro")
    shell(project, "dvc exp remove half")
    assert run(project, "git", "status", "--porcelain").stdout == ""
    assert "half" not in run(project, "dvc", "exp", "list", "--name-only").stdout.split()


@pytest.mark.slow
def test_plots_and_dag_are_drawn(project: Path) -> None:
    run(project, "dvc", "plots", "show", "--out", "plots")
    page = (project / "plots/index.html").read_text()
    assert "Validation loss" in page
    assert "comparison.svg" in page
    shutil.rmtree(project / "plots")
    assert "train@copies" in run(project, "dvc", "dag").stdout


@pytest.mark.slow
def test_metrics_show_fits_a_screen(project: Path) -> None:
    shown = run(project, "dvc", "metrics", "show", "--md").stdout.strip()
    header, _, row = csv.reader(shown.splitlines(), delimiter="|")
    assert row[1].strip() == "results/summary.json"
    assert {"nothing.macro_f1", "copies.macro_f1"} <= {name.strip() for name in header}
    assert len(header) <= 23  # The path, at most 20 numbers, and the two ends.


@pytest.mark.slow
def test_a_param_that_leads_to_the_same_copies_trains_nothing_again(project: Path) -> None:
    run(project, "dvc", "exp", "run", "-S", "augment.strategy=labels")
    result = run(project, "dvc", "exp", "run", "-S", "cluster.n_clusters=4")
    assert "augment" in ran(result.stdout)
    assert not [stage for stage in ran(result.stdout) if stage.startswith(("train", "evaluate"))]
    run(project, "git", "checkout", "--quiet", ".")
    run(project, "dvc", "checkout", "--quiet")


def replace(path: Path, content: bytes) -> None:
    """Put another file there; the one that is there may be a link to DVC's."""
    path.unlink()
    path.write_bytes(content)


@pytest.mark.slow
def test_resized_image_that_was_changed_by_hand_comes_back(project: Path) -> None:
    before = digests(project)
    replace(project / "data/resized/0007.jpg", (project / "data/resized/0008.jpg").read_bytes())
    assert ran(run(project, "dvc", "repro").stdout) == []
    assert digests(project) == before


@pytest.mark.slow
def test_image_that_changed_reaches_all_stages_by_the_tables(project: Path) -> None:
    before = digests(project)
    changed = pd.read_csv(project / "data/manifest.csv", dtype="str").query("split == 'train'")["path"].iloc[0]
    mirrored = cv2.imread(str(project / "images" / changed))[:, ::-1]
    replace(project / "images" / changed, cv2.imencode(".jpg", mirrored)[1].tobytes())
    assert len(ran(run(project, "dvc", "repro").stdout)) == 19
    after = digests(project)
    resized = {name for name in before if name.startswith("data/resized/") and after[name] != before[name]}
    assert resized == {f"data/resized/{changed}"}
    assert after["features/features.npy"] != before["features/features.npy"]
