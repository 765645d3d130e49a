from pathlib import Path

import pytest

from counterweight.runtime import fingerprint as module
from counterweight.runtime.fingerprint import fingerprint, import_closure


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library in which copies imports pixels, pixels imports errors, and nothing imports report."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module._parsed.cache_clear()
    folder = tmp_path / "counterweight"
    folder.mkdir()
    (folder / "copies.py").write_text("from counterweight import pixels\n")
    (folder / "pixels.py").write_text("def read():\n    import counterweight.errors\n    return 1\n")
    (folder / "errors.py").write_text("import numpy\n")
    (folder / "report.py").write_text("from counterweight.copies import pixels\n")
    return folder


def changed(file: Path, code: str) -> bool:
    """Whether new code in a file changes the fingerprint of copies."""
    before = fingerprint(["counterweight.copies"], [])
    file.write_text(code)
    module._parsed.cache_clear()
    return fingerprint(["counterweight.copies"], []) != before


def test_closure_follows_imports_also_inside_functions(library: Path) -> None:
    assert import_closure(library / "copies.py") == {library / f"{name}.py" for name in ("copies", "pixels", "errors")}


@pytest.mark.parametrize("name", ["copies", "pixels", "errors"])
def test_imported_code_changes_the_fingerprint(name: str, library: Path) -> None:
    assert changed(library / f"{name}.py", (library / f"{name}.py").read_text() + "x = 1\n")


def test_code_that_is_not_imported_does_not_change_it(library: Path) -> None:
    assert not changed(library / "report.py", "x = 1\n")


def test_comments_docstrings_and_formatting_do_not_change_it(library: Path) -> None:
    code = '"""Pixels."""\n\n\ndef read():\n    """Read."""\n    import counterweight.errors  # Late.\n\n    return 1\n'
    assert not changed(library / "pixels.py", code)


def test_strings_other_than_docstrings_change_it(library: Path) -> None:
    assert changed(library / "errors.py", 'import numpy\nNAME = "a"\n')


def test_versions_of_packages_change_it() -> None:
    modules = ["counterweight.images.geometry"]
    assert len({fingerprint(modules, packages) for packages in ([], ["numpy"], ["pandas"])}) == 3


def test_modules_that_affect_a_training_are_in_its_closure() -> None:
    closure = {file.stem for file in import_closure(module.ROOT / "counterweight/training/trainer.py")}
    assert {"callbacks", "epoch_metrics", "per_label", "optimizer", "loader", "codec"} <= closure
