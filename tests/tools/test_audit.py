import json
from pathlib import Path

import pytest

from tools.audit import main, verdict

GOOD = {"name": "numpy", "version": "2.3.0", "vulns": []}
BAD = {"name": "pillow", "version": "10.0.0", "vulns": [{"id": "CVE-2023-50447", "fix_versions": ["10.2.0"]}]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found"}


def test_a_vulnerable_package_is_named_with_the_version_that_is_mended() -> None:
    code, lines = verdict([GOOD, BAD, UNKNOWN])
    assert (code, lines[:2]) == (
        1,
        ["pillow 10.0.0: CVE-2023-50447, mended in 10.2.0", "NOT AUDITED: 1 packages that the list lacks."],
    )


def test_packages_without_known_vulnerability_are_counted() -> None:
    assert verdict([GOOD, GOOD]) == (0, ["2 packages, none with a known vulnerability."])


def test_what_was_not_looked_up_is_not_called_safe() -> None:
    assert verdict([UNKNOWN, UNKNOWN])[0] == 2
    assert verdict([])[0] == 2
    assert verdict([GOOD, UNKNOWN])[0] == 2


def replace_uv(report: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command uv on the path that writes a report where pip-audit would."""
    command = folder / "uv"
    command.write_text(f"#!/bin/sh\nfor last; do :; done\n{report}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_report_of_pip_audit_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_uv(f"echo '{json.dumps({'dependencies': [GOOD, GOOD]})}' > \"$last\"", tmp_path, monkeypatch)
    assert main([]) == 0
    assert capsys.readouterr().out == "2 packages, none with a known vulnerability.\n"


def test_where_pip_audit_gives_no_report_its_last_words_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_uv("echo 'Name or service not known' >&2; exit 1", tmp_path, monkeypatch)
    assert main([]) == 2
    assert capsys.readouterr().out == (
        "NOT AUDITED: the list of known vulnerabilities cannot be reached from here. Try again elsewhere.\n"
        "Name or service not known\n"
    )
