import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import pytest

from counterweight.base.command import device_name, help_text, params_of, parse_options, worker_count
from counterweight.base.errors import InputError

PROJECT = Path(__file__).parents[2]


def run_script(path: Path, body: str) -> subprocess.CompletedProcess[str]:
    path.write_text(
        "from counterweight.base.command import run, worker_count\n"
        f"from counterweight.base.errors import InputError\n{body}"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERWEIGHT_")}
    return subprocess.run(
        [sys.executable, str(path)],
        env={**environment, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_options_become_paths() -> None:
    options = parse_options(
        "Doc.", ["--sheet", "labels.xlsx", "--images", "data/raw", "--params", "p.yaml"], "sheet", "images"
    )
    assert vars(options) == {"sheet": Path("labels.xlsx"), "images": Path("data/raw"), "params": Path("p.yaml")}


def test_the_default_params_file_is_params_yaml() -> None:
    assert parse_options("Doc.", ["--out", "a.csv"], "out").params == Path("params.yaml")


def test_a_command_may_have_no_params_file() -> None:
    assert vars(parse_options("Doc.", ["--out", "a.csv"], "out", params=False)) == {"out": Path("a.csv")}


def test_a_missing_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as result:
        parse_options("Doc.", ["--sheet", "labels.xlsx"], "sheet", "out")
    assert result.value.code == 2
    assert "the following arguments are required: --out" in capsys.readouterr().err


def test_help_shows_the_stages_docstring_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as result:
        parse_options("Resize.\n\nReads   data/manifest.csv\nWrites  data/resized/", ["--help"], "out")
    assert result.value.code == 0
    assert "\nResize.\n\nReads   data/manifest.csv\nWrites  data/resized/\n" in capsys.readouterr().out


def test_help_is_wrapped_to_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "32")
    with pytest.raises(SystemExit):
        parse_options("Resize.\n\nReads   data/manifest.csv and\n        the images", ["--help"], "out")
    assert "\nReads   data/manifest.csv and\n        the images\n" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "workers"), [("1", 1), ("4", 4), ("064", 64)])
def test_the_variable_sets_the_workers(value: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", value)
    assert worker_count() == workers


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "two", "", "²"])
def test_workers_are_a_whole_number_of_at_least_one(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", value)
    with pytest.raises(InputError) as error:
        worker_count()
    assert str(error.value) == (
        f"environment: COUNTERWEIGHT_WORKERS must be a whole number of at least 1, not '{value}'. "
        "Set it to the number of processes, or unset it to use all cores."
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot tie a process to a core")
def test_without_the_variable_there_is_one_worker_per_allowed_core(tmp_path: Path) -> None:
    body = (
        "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nrun(lambda: f'{worker_count()} worker')\n"
    )
    assert "ingest: 1 worker, in " in run_script(tmp_path / "ingest.py", body).stderr


def test_the_variable_names_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_DEVICE", "cuda:1")
    assert device_name() == "cuda:1"


def test_without_the_variable_the_device_is_chosen_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERWEIGHT_DEVICE", raising=False)
    assert device_name() == "auto"


def test_exit_handlers_of_other_libraries_are_called(tmp_path: Path) -> None:
    result = run_script(
        tmp_path / "ingest.py", "import atexit\natexit.register(print, 'over')\nrun(lambda: '3 images')\n"
    )
    assert (result.returncode, result.stdout) == (0, "over\n")


def test_a_stage_logs_its_summary_and_its_seconds_to_stderr(tmp_path: Path) -> None:
    result = run_script(tmp_path / "ingest.py", "run(lambda: '3 images')\n")
    first, second = result.stderr.splitlines()
    assert re.fullmatch(r"ingest: 3 images, in \d+\.\d s", first)
    assert re.fullmatch(r"ingest: at most 0\.\d\d GB per process", second)
    assert (result.returncode, result.stdout) == (0, "")


def test_warnings_of_libraries_begin_with_the_stages_name(tmp_path: Path) -> None:
    result = run_script(tmp_path / "ingest.py", "import warnings\nrun(lambda: str(warnings.warn('old')))\n")
    first = result.stderr.splitlines()[0]
    assert first.startswith("ingest: ")
    assert first.endswith("UserWarning: old")


def test_an_input_error_is_logged_without_a_traceback(tmp_path: Path) -> None:
    body = "def main() -> str:\n    raise InputError('labels.xlsx row 2: no label.')\nrun(main)\n"
    result = run_script(tmp_path / "ingest.py", body)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "ingest: labels.xlsx row 2: no label.\n")


def test_a_disk_error_is_logged_with_the_file(tmp_path: Path) -> None:
    body = "def main() -> str:\n    raise OSError(5, 'Input/output error', 'data/a.csv')\nrun(main)\n"
    result = run_script(tmp_path / "ingest.py", body)
    assert (result.returncode, result.stderr) == (
        1,
        "ingest: data/a.csv: Input/output error. Check the file and its disk, then run dvc repro.\n",
    )


def test_a_programming_error_keeps_its_traceback(tmp_path: Path) -> None:
    result = run_script(tmp_path / "ingest.py", "run(lambda: str(1 / 0))\n")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith("\nZeroDivisionError: division by zero\n")


def test_a_section_is_expanded_and_a_single_param_is_kept() -> None:
    assert list(params_of("Sheet.\n\nParams  sheet, data.columns, augment.quality.min_std\n")) == [
        "sheet.format",
        "data.columns.image",
        "data.columns.split",
        "data.columns.labels",
        "data.columns.group",
        "augment.quality.min_std",
    ]


def test_other_words_on_the_line_are_ignored() -> None:
    assert list(params_of("Params  impute, and all others, which the page lists\n")) == [
        "impute.validation",
        "impute.seed",
    ]


def test_lists_of_params_and_variables_follow_the_docstring() -> None:
    doc = "Impute.\n\nReads   a.csv\nParams  impute.seed\nObeys   COUNTERWEIGHT_CACHE,\n        TORCH_HOME\n"
    assert help_text(doc).splitlines() == [
        "Impute.",
        "",
        "Reads   a.csv",
        "Params  impute.seed",
        "",
        "Params, from params.yaml:",
        "impute.seed  seed of the held-out cells",
        "",
        "Environment variables, which change speed only:",
        "COUNTERWEIGHT_CACHE  folder that caches finished work; by default .counterweight",
        "TORCH_HOME  folder for downloaded weights; by default PyTorch's own",
    ]


def test_without_params_and_variables_the_help_is_the_docstring() -> None:
    assert help_text("Compare.\n\nReads   a.csv\n") == "Compare.\n\nReads   a.csv"


def test_descriptions_are_shown_without_the_backticks_of_the_docs() -> None:
    assert params_of("Params  resize.format\n") == {
        "resize.format": "file format of resized images and copies; png is lossless"
    }


STAGE = """
import os, sys, time
from pathlib import Path
from unittest.mock import ANY
from counterweight.base.command import run
from counterweight.base.outputs import atomic_folder
from counterweight.runtime.parallel import parallel_map

def nap(name):
    Path(name).write_text(str(os.getpid()))
    time.sleep(60)

def main():
    with atomic_folder(Path("out")):
        parallel_map(nap, [f"{i}.pid" for i in range(200)], workers=2, what="naps")
    return "done"

sys.argv[0] = "nap.py"
run(main)
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stage_that_is_stopped_says_so_in_a_line_and_leaves_no_process_behind(
    sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        # A shell lets what it starts in the background ignore SIGINT, perhaps this test.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_until(lambda: len([file for file in tmp_path.glob("*.pid") if file.read_text()]) == 2)
    workers = [file.read_text() for file in tmp_path.glob("*.pid")]
    stage.send_signal(sent)
    message = stage.communicate(timeout=60)[1]
    assert (stage.returncode, message) == (code, "nap: stopped. Finished work is kept: dvc repro goes on with it\n")
    wait_until(lambda: not any(Path("/proc", worker).exists() for worker in workers))
    assert {path.suffix for path in tmp_path.iterdir()} == {".pid"}


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stage_may_be_stopped_while_its_libraries_load(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")  # Nobody writes to it, so the stage does not end by itself.
    options = (f"--{name}={tmp_path / name}" for name in ("table", "resized", "copies", "models", "history"))
    stage = subprocess.Popen(
        [sys.executable, "-um", "stages.train", *options, f"--params={tmp_path / 'params.yaml'}"], cwd=PROJECT,
        stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    status = Path("/proc", str(stage.pid), "status")
    wait_until(lambda: bool(int(status.read_text().split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1))
    stage.send_signal(sent)
    message = stage.communicate(timeout=60)[1]
    assert (stage.returncode, message) == (code, "train: stopped. Finished work is kept: dvc repro goes on with it\n")


def test_a_stage_ends_without_a_word_of_what_it_has_not_freed(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="PyTorch has it in its builds for CUDA")
    program = "import triton; from counterweight.base.command import run; run(lambda: 'done')"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert [line.split(",")[0] for line in result.stderr.splitlines()] == ["-c: done", ANY]


def test_another_command_whose_package_imports_the_stages_is_stopped_as_usual(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").write_text("import stages\n")
    (tmp_path / "mine/__main__.py").write_text("import signal; print(signal.getsignal(signal.SIGTERM).name)\n")
    environment, command = {**os.environ, "PYTHONPATH": str(PROJECT)}, [sys.executable, "-m", "mine"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "SIG_DFL\n"


def test_ctrl_c_is_a_line_while_the_workers_start_too(tmp_path: Path) -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    children = Path("/proc", str(stage.pid), "task", str(stage.pid), "children")
    wait_until(lambda: len(children.read_text().split()) == 4)  # two workers, and two trackers of shared resources
    os.killpg(stage.pid, signal.SIGINT)  # as a terminal does
    message = stage.communicate(timeout=60)[1]
    assert (stage.returncode, message) == (130, "nap: stopped. Finished work is kept: dvc repro goes on with it\n")


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError
