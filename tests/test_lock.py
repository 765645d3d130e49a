"""What is installed is what was locked."""

import re

from tests.workspace import PROJECT

LOCK = (PROJECT / "requirements.lock").read_text(encoding="utf-8")


def test_every_package_is_pinned_and_has_hashes() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^ ;]+", entry), entry.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


def test_no_host_is_named() -> None:
    assert "://" not in LOCK


def test_packages_are_installed_by_their_hashes() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"^\t\S*/(?:pip|uv) (?:pip )?(?:install|sync).*$", makefile, re.MULTILINE)
    assert len(installs) == 2
    assert all("--require-hashes" in install for install in installs)
