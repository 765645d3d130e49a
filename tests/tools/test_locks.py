import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.tools.local_index import LocalIndex, sha256, write_wheel
from tests.workspace import PROJECT
from tools.locks import NOT_REACHED, cpu_lock, extra_lock, split_lock

LOCK = """\
nvidia-cublas==13.4 ; sys_platform == 'linux' \\
    --hash=sha256:1
    # via torch
pandas==3.0 \\
    --hash=sha256:2 \\
    --hash=sha256:3
    # via counterweight
torch==2.15.0 \\
    --hash=sha256:4
torchmetrics==1.9 \\
    --hash=sha256:5
torchvision==0.29.2 \\
    --hash=sha256:6
triton==3.9 \\
    --hash=sha256:7
"""
# Nothing listens at port 9, which is for discarding.
UNREACHABLE = {
    **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    "UV_HTTP_RETRIES": "0",
}
UV = Path(sys.executable).with_name("uv")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LocalIndex]:
    """Has torch and torchvision for CPUs and for GPUs."""
    folder = tmp_path / "index"
    folder.mkdir()
    for local in ("", "+cpu"):
        write_wheel(folder, "torch", f"2.15.0{local}")
        write_wheel(folder, "torchvision", f"0.29.2{local}", {"torch": f"2.15.0{local}"})
    write_wheel(folder, "pandas", "3.0")
    server = LocalIndex(folder)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run_tool(lock: Path, out: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/locks.py", "--lock", lock, "cpu", out],
        cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_torch_is_replaced_and_what_gpus_need_is_left_out() -> None:
    entries = split_lock(cpu_lock(split_lock(LOCK), "torch==2.15.0+cpu \\\n    --hash=sha256:8\n"))
    assert entries == [
        "pandas==3.0 \\\n    --hash=sha256:2 \\\n    --hash=sha256:3\n    # via counterweight\n",
        "torchmetrics==1.9 \\\n    --hash=sha256:5\n",
        "torch==2.15.0+cpu \\\n    --hash=sha256:8\n",
    ]


def test_an_extra_adds_what_the_lock_lacks() -> None:
    extra = split_lock(LOCK + "timm==1.0 \\\n    --hash=sha256:8\n")
    assert extra_lock(split_lock(LOCK), extra) == "timm==1.0 \\\n    --hash=sha256:8\n"


def test_nothing_that_the_project_itself_needs_is_left_out() -> None:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    left_out = set(split_lock(lock)) - set(split_lock(cpu_lock(split_lock(lock), "")))
    needed = {entry.split("==")[0] for entry in left_out if "counterweight (pyproject.toml)" in entry}
    assert needed == {"torch", "torchvision"}
    by_others = {
        name for entry in left_out for name in re.findall(r"^    #(?: via)? +([a-z][\w.-]*)$", entry, re.MULTILINE)
    }
    assert {name for name in by_others if not re.match(r"cuda-|nvidia-|torch$|via$", name)} <= {
        "captum", "lightning", "pytorch-lightning", "torchmetrics", "torchvision",
    }  # fmt: skip


def test_uv_installs_cpu_wheels_by_the_hashes_of_the_lock(tmp_path: Path, index: LocalIndex) -> None:
    lock, out, environment = tmp_path / "requirements.lock", tmp_path / "cpu.lock", {**os.environ, **index.environment}
    pandas = sha256(index.folder / "pandas-3.0-py3-none-any.whl")
    entries = [entry for entry in split_lock(LOCK) if "torchmetrics" not in entry]
    lock.write_text("".join(entries).replace("sha256:2", f"sha256:{pandas}").replace("sha256:3", f"sha256:{'3' * 64}"))
    done = run_tool(lock, out, index.environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sha256(index.folder / "torch-2.15.0+cpu-py3-none-any.whl") in out.read_text()

    options = {"env": environment, "check": True, "capture_output": True, "text": True}
    subprocess.run([UV, "venv", "--no-config", "--python", sys.executable, tmp_path / "new"], **options)
    sync = [UV, "pip", "sync", *"--no-config --no-cache --system-certs --require-hashes --torch-backend cpu".split()]
    sync += ["--python", tmp_path / "new/bin/python"]
    subprocess.run([*sync, out], **options)
    listed = subprocess.run([UV, "pip", "list", "--no-config", "--format", "json", *sync[-2:]], **options).stdout
    assert {package["name"]: package["version"] for package in json.loads(listed)} == {
        "pandas": "3.0", "torch": "2.15.0+cpu", "torchvision": "0.29.2+cpu",
    }  # fmt: skip

    write_wheel(index.folder, "torch", "2.15.0+cpu", {"pandas": "3.0"})
    changed = subprocess.run([*sync, "--reinstall", out], env=environment, capture_output=True, text=True, check=False)
    assert changed.returncode
    assert "Hash mismatch for `torch==2.15.0+cpu`" in changed.stderr


def test_without_the_index_a_line_says_what_is_installed_instead(tmp_path: Path) -> None:
    lock, out = tmp_path / "requirements.lock", tmp_path / "cpu.lock"
    lock.write_text(LOCK)
    done = run_tool(lock, out, UNREACHABLE)
    assert (done.returncode, done.stdout, out.exists()) == (NOT_REACHED, "", False)
    assert re.fullmatch(
        rf"PyTorch's CPU wheels cannot be looked up: .*Connection refused.*\. The wheels of {re.escape(str(lock))} "
        r"serve as well, and take 5 GB more\. To try again: rm \.venv/installed && make \.venv/installed\n",
        done.stderr,
    )


@pytest.fixture
def project(tmp_path: Path, index: LocalIndex) -> Path:
    """A Makefile with a lock of uv and torch, and an environment that has pip and uv."""
    folder = tmp_path / "project"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(PROJECT / "Makefile", folder)
    shutil.copy(PROJECT / "tools/locks.py", folder / "tools")
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    shutil.copy(UV, folder / ".venv/bin")
    here, there = (Path(sysconfig.get_path("purelib", vars=root)) for root in ({}, {"base": str(folder / ".venv")}))
    for part in here.glob("uv*"):
        shutil.copytree(part, there / part.name)
    uv = next(entry for entry in split_lock((PROJECT / "requirements.lock").read_text()) if entry.startswith("uv=="))
    torch = sha256(index.folder / "torch-2.15.0-py3-none-any.whl")
    (folder / "requirements.lock").write_text(f"torch==2.15.0 \\\n    --hash=sha256:{torch}\n{uv}")
    return folder


def installed_torch(project: Path, *options: str, **environment: str) -> tuple[str, str]:
    """Run make, and return its output with torch's version."""
    # These tests may run under make themselves.
    inherited = {name: value for name, value in os.environ.items() if name not in {"TORCH", "MAKEFLAGS", "MAKELEVEL"}}
    done = subprocess.run(
        ["make", ".venv/installed", *options],
        cwd=project, env={**inherited, "UV_NO_CACHE": "1", **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    program = "import torch; print(torch.__version__)"
    version = subprocess.run([project / ".venv/bin/python", "-c", program], check=True, capture_output=True, text=True)
    return version.stdout.strip(), done.stdout + done.stderr


def test_make_installs_the_wheels_that_were_chosen_until_others_are(project: Path, index: LocalIndex) -> None:
    version, _ = installed_torch(project, "TORCH=cpu", **index.environment)
    assert version == "2.15.0+cpu"
    version, said = installed_torch(project, **index.environment)
    assert (version, said) == ("2.15.0+cpu", "")
    assert installed_torch(project, "TORCH=cuda", **index.environment)[0] == "2.15.0"
    assert installed_torch(project, **index.environment) == ("2.15.0", "")


def test_make_installs_the_lock_where_the_index_cannot_be_reached(project: Path, index: LocalIndex) -> None:
    assert installed_torch(project, "TORCH=cuda", **index.environment)[0] == "2.15.0"
    index.closed = True
    version, said = installed_torch(project, "TORCH=cpu", **index.environment)
    assert version == "2.15.0"
    assert "PyTorch's CPU wheels cannot be looked up: " in said
    # It does not look again each time, but when it is asked to.
    assert installed_torch(project, **index.environment) == ("2.15.0", "")
    index.closed = False
    (project / ".venv/installed").unlink()
    assert installed_torch(project, **index.environment)[0] == "2.15.0+cpu"


def test_an_extra_brings_nothing_for_gpus_along(project: Path, index: LocalIndex) -> None:
    hashes = {"pandas": sha256(index.folder / "pandas-3.0-py3-none-any.whl")}
    torch, gpus, pandas = (
        "".join(f"{pin} \\\n    --hash=sha256:{hashes.get(pin.split('=')[0], '9' * 64)}\n" for pin in pins)
        for pins in (["torch==2.15.0"], ["nvidia-cublas==13.4", "triton==3.9"], ["pandas==3.0"])
    )
    with (project / "requirements.lock").open("a") as lock:
        lock.write(gpus)
    (project / "requirements-cpu.lock").write_text(torch + gpus + pandas)
    assert installed_torch(project, "cpu", "TORCH=cpu", **index.environment)[0] == "2.15.0+cpu"
    listed = sorted(file.name for file in (project / ".venv").glob("lib/*/site-packages/*.dist-info"))
    assert [name for name in listed if name.startswith(("nvidia", "pandas", "torch", "triton"))] == [
        "pandas-3.0.dist-info", "torch-2.15.0+cpu.dist-info",
    ]  # fmt: skip


def test_make_names_the_builds_that_there_are(project: Path) -> None:
    done = subprocess.run(["make", "TORCH=rocm"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "TORCH is 'rocm'. Set it to cpu or cuda" in done.stderr
