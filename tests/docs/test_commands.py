"""Every command of the documents is run as written, on tiny data; the tests build on each other.

`tests.docs.test_recipe_commands` runs those of docs/recipes.md. A command that is new in a document is run without an
entry here; one that cannot be run is listed with the reason.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import TINY, make_tiny_data
from tests.docs.commands import DOCUMENTS, Command, commands_of, languages_of
from tests.workspace import PROJECT, run, shell, write_params

COMMANDS = [command for document in DOCUMENTS for command in commands_of(document)]
INSTALLED = "it installs, which .ci/run does on a clean clone"
SEVERAL = "it needs several GPUs or hosts; tests/pipeline/test_processes.py has as many processes on the CPU"
NOT_RUN = {
    "git clone URL_OF_THIS_REPOSITORY my-dataset && cd my-dataset && make .venv/installed": INSTALLED,
    "source .venv/bin/activate": INSTALLED,
    "make cluster": INSTALLED,
    "make test": "it is the run of these tests",
    "COUNTERWEIGHT_DEVICES=4 dvc repro": SEVERAL,
    "COUNTERWEIGHT_DEVICES=4 COUNTERWEIGHT_NODES=2 torchrun --nnodes=2 --nproc-per-node=4 --node-rank=N "
    "--master-addr=FIRST --master-port=29500 -m stages.train OPTIONS": SEVERAL,
    "COUNTERWEIGHT_DEVICES=4 COUNTERWEIGHT_NODES=2 srun --nodes=2 --ntasks-per-node=4 --gres=gpu:4 "
    "python -m stages.train OPTIONS": SEVERAL,
}
# Another test runs these, word for word, and checks the results.
ELSEWHERE = {
    "dvc exp run -S cluster.n_clusters=4": "tests/pipeline/test_repro.py",
    "dvc exp run -S augment.target=0.5 --name half": "tests/pipeline/test_repro.py",
    "dvc exp run --queue -S train.monitor=loss,f1": "tests/pipeline/test_repro.py",
    "dvc exp run --run-all": "tests/pipeline/test_repro.py",
    "dvc exp apply half": "tests/pipeline/test_repro.py",
    "git checkout params.yaml && dvc repro": "tests/pipeline/test_repro.py",
    "dvc exp remove half": "tests/pipeline/test_repro.py",
}
HERE = [command for command in COMMANDS if command.line not in {*NOT_RUN, *ELSEWHERE}]
RECIPES = "docs/recipes.md"


@pytest.fixture(autouse=True)
def no_make_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run under make themselves, whose variables would hold for theirs."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "TORCH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def project(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `dvc repro` and a commit, marked as installed for make, with photos beside it."""
    parent = tmp_path_factory.mktemp("documents")
    folder = parent / "project"
    shutil.copytree(reproduced, folder, ignore=shutil.ignore_patterns(".counterweight"))
    for name in ("recipes", "tools"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    make_tiny_data(parent / "drawn")
    (parent / "drawn/images").rename(parent / "photos")
    (parent / "drawn/labels.xlsx").rename(parent / "photos/labels.xlsx")
    mark_as_installed(folder)
    return folder


@pytest.fixture(scope="module")
def port() -> int:
    """One that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """What commands that do not end have started; it is ended after the tests."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes[::-1]:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def mark_as_installed(folder: Path) -> None:
    shutil.copy(PROJECT / "Makefile", folder)
    shutil.copy(PROJECT / "requirements.lock", folder)
    (folder / ".venv").mkdir()
    (folder / ".venv/torch").write_text("cuda\n", encoding="utf-8")
    (folder / ".venv/installed").touch()


def point_at_the_example(folder: Path) -> None:
    """Make params.yaml that of a new clone, which `stages.init` may change."""
    example = {"data.images": "data/example/images", "data.sheet": "data/example/labels.xlsx"}
    write_params(folder / "params.yaml", TINY | example)


def keep_small(folder: Path) -> None:
    """Take all but the data from the last commit: what `stages.init` proposes is for photographs, and a download."""
    yaml = YAML(typ="rt", pure=True)
    data = yaml.load(folder / "params.yaml")["data"]
    params = yaml.load(run(folder, "git", "show", "HEAD:params.yaml").stdout)
    params["data"] = data
    yaml.dump(params, folder / "params.yaml")


def in_background(folder: Path, line: str, ready: str) -> subprocess.Popen[str]:
    """Start a command that does not end, and wait until it says that it is ready."""
    with (folder.parent / f"{len(line)}.log").open("w+") as log:
        process = subprocess.Popen(["bash", "-c", line], cwd=folder, stderr=log, text=True, start_new_session=True)
        for _ in range(300):
            if ready in Path(log.name).read_text():
                return process
            time.sleep(0.2)
        raise AssertionError(Path(log.name).read_text())


@pytest.mark.parametrize("command", [each for each in HERE if each.document != RECIPES], ids=str)
def test_command_does_its_work(
    command: Command, project: Path, port: int, started: list[subprocess.Popen[str]]
) -> None:
    line = command.line
    for name, here in {
        "/photos": str(project.parent / "photos"),
        "FOLDER_OR_NPY": str(project.parent / "photos"),
        "HOST:8786": f"127.0.0.1:{port}",
        "--port 8786": f"--host 127.0.0.1 --port {port}",
    }.items():
        line = line.replace(name, here)
    if command.document == "docs/cluster.md":
        pytest.importorskip("distributed", reason="make cluster installs Dask")
    if " dask " in line:
        ready = "Scheduler at" if "scheduler" in line else "Registered to"
        started.append(in_background(project, line, ready))
        return
    if "stages.init" in line:
        point_at_the_example(project)
    if line.endswith("dvc repro"):
        keep_small(project)
    if "COUNTERWEIGHT_SCHEDULER" in line:
        # So that the stages that use the scheduler run again.
        for stage in ("resize", "features", "augment"):
            with (project / f"stages/{stage}.py").open("a") as code:
                code.write("# more\n")
    shell(project, line)


@pytest.mark.parametrize(("line", "file"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_command_that_another_test_runs_stands_there_to_the_letter(line: str, file: str) -> None:
    assert f'"{line}"' in (PROJECT / file).read_text(encoding="utf-8")


def test_no_document_has_lost_a_command_that_is_named_here() -> None:
    assert {*NOT_RUN, *ELSEWHERE} <= {command.line for command in COMMANDS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_marked_as_bash_alone(document: Path) -> None:
    assert languages_of(document) <= {"", "bash", "mermaid", "python", "text", "yaml"}
    assert not re.search(r"^\$ ", document.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS[1:], ids=lambda path: path.name)
def test_document_is_named_in_the_readme(document: Path) -> None:
    assert f"](docs/{document.name})" in DOCUMENTS[0].read_text(encoding="utf-8")
