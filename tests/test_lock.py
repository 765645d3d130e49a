"""What is installed is what was locked."""

import re

import pytest

from tests.workspace import PROJECT
from tools.locks import split_lock

LOCKS = {
    name: (PROJECT / name).read_text(encoding="utf-8")
    for name in (
        "requirements.lock",
        "requirements-cluster.lock",
        "requirements-cpu.lock",
        "requirements-heif.lock",
        "requirements-loaders.lock",
        "requirements-parquet.lock",
        "requirements-timm.lock",
        "benchmarks/peers.txt",
    )
}


@pytest.mark.parametrize(("name", "at_least"), [*zip(LOCKS, (100, 100, 100, 100, 100, 100, 100, 5), strict=True)])
def test_every_package_is_pinned_and_has_hashes(name: str, at_least: int) -> None:
    entries = split_lock(LOCKS[name])
    assert len(entries) > at_least
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^ ;]+", entry), entry.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


def test_no_host_is_named() -> None:
    assert not [name for name, lock in LOCKS.items() if "://" in lock]


@pytest.mark.parametrize(
    ("extra", "package"),
    [
        ("cluster", "distributed"),
        ("cpu", "openvino"),
        ("heif", "pillow-heif"),
        ("loaders", "datasets"),
        ("parquet", "pyarrow"),
        ("timm", "timm"),
    ],
)
def test_what_an_extra_needs_goes_with_what_all_need(extra: str, package: str) -> None:
    common, more = (
        set(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCKS[name], re.MULTILINE))
        for name in ("requirements.lock", f"requirements-{extra}.lock")
    )
    common_names = {name for name, _ in common}
    assert {(name, version) for name, version in more if name in common_names} <= common
    assert package in {name for name, _ in more - common}


def test_openvino_does_not_tell_its_makers_of_its_use() -> None:
    assert not [name for name, lock in LOCKS.items() if "openvino-telemetry" in lock]


def test_packages_are_installed_by_their_hashes() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"^(?:\t|SYNC := )\S*/(?:pip|uv) (?:pip )?(?:install|sync).*$", makefile, re.MULTILINE)
    assert len(installs) == 4
    assert all("--require-hashes" in install for install in installs)
