from tools.audit import verdict

GOOD = {"name": "numpy", "version": "2.3.0", "vulns": []}
BAD = {"name": "pillow", "version": "10.0.0", "vulns": [{"id": "CVE-2023-50447", "fix_versions": ["10.2.0"]}]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found"}


def test_a_vulnerable_package_is_named_with_the_version_that_is_mended() -> None:
    code, said = verdict([GOOD, BAD, UNKNOWN])
    assert (code, said[:2]) == (
        1,
        ["pillow 10.0.0: CVE-2023-50447, mended in 10.2.0", "NOT AUDITED: 1 packages that the list lacks."],
    )


def test_packages_without_known_vulnerability_are_counted() -> None:
    assert verdict([GOOD, GOOD]) == (0, ["2 packages, none with a known vulnerability."])


def test_what_was_not_looked_up_is_not_called_safe() -> None:
    assert verdict([UNKNOWN, UNKNOWN])[0] == 2
    assert verdict([])[0] == 2
    assert verdict([GOOD, UNKNOWN])[0] == 2
