"""Look up every package of requirements.lock in the list of known vulnerabilities.

    python -m tools.audit [--lock requirements.lock]

pip-audit does it, in an environment of its own. The exit code is 0 if all packages were looked up and none is
vulnerable, 1 if one is, and 2 if they could not be looked up: where the list cannot be reached, nothing is known.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PIP_AUDIT = "pip-audit==2.10.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Run pip-audit and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    lock = parser.parse_args(argv).lock
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [
                *f"uv tool run --quiet --from {PIP_AUDIT} pip-audit --requirement".split(),
                str(lock),
                *["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--output"],
                str(report),
            ],
            capture_output=True,
            text=True,
        )
        packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"] if report.is_file() else []
    code, said = verdict(packages)
    print("\n".join(said), *done.stderr.strip().splitlines()[-1:] if not packages else [], sep="\n")
    return code


def verdict(packages: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """The exit code and the lines to print, by the ``dependencies`` of pip-audit's report.

    Parameters
    ----------
    packages : sequence of mappings
        With ``name``; ``skip_reason`` where the package could not be looked up, and ``version`` and ``vulns``, each
        with ``id`` and ``fix_versions``, otherwise.

    Returns
    -------
    code : int
        0, 1 or 2, as the module says.
    lines : list of str
        What was found.
    """
    known = [package for package in packages if "skip_reason" not in package]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in known
        for flaw in package["vulns"]
    ]
    unknown = len(packages) - len(known)
    if found:
        return 1, [
            *found,
            *([f"NOT AUDITED: {unknown} packages that the list lacks."] if unknown else []),
            f"{len(found)} known vulnerabilities. Raise the versions in pyproject.toml and run: make lock",
        ]
    if not known:
        return 2, ["NOT AUDITED: the list of known vulnerabilities cannot be reached from here. Try again elsewhere."]
    if unknown:
        return 2, [f"{len(known)} packages have no known vulnerability; NOT AUDITED: {unknown} that the list lacks."]
    return 0, [f"{len(known)} packages, none with a known vulnerability."]


if __name__ == "__main__":
    sys.exit(main())
