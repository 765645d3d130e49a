import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterweight.runtime.lazy_import import later
from tests.workspace import PROJECT


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package ``slow`` with the modules ``sums`` and ``products``."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/__init__.py").write_text("unit = 1\n")
    (tmp_path / "slow/sums.py").write_text("def add(a, b):\n    return a + b\n\n\ntwo = 2\n")
    (tmp_path / "slow/products.py").write_text("def multiply(a, b):\n    return a * b\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("slow", "slow.sums", "slow.products"):
        sys.modules.pop(name, None)


def imported() -> set[str]:
    return {name for name in sys.modules if name.split(".")[0] == "slow"}


def test_module_is_imported_when_the_function_is_called() -> None:
    with later("slow.sums", "add"):
        from slow.sums import add  # type: ignore[import-not-found]
    assert imported() == set()
    assert add(1, b=2) == 3
    assert imported() == {"slow", "slow.sums"}


def test_module_is_imported_when_something_else_is_taken_from_it() -> None:
    with later("slow.sums", "add"):
        from slow.sums import two

        assert imported() == {"slow", "slow.sums"}
    assert two == 2


def test_package_is_imported_when_something_is_taken_from_it() -> None:
    with later("slow.sums", "add"):
        from slow import unit  # type: ignore[import-not-found]
        from slow.sums import two
    assert (unit, two) == (1, 2)


def test_another_module_of_the_package_is_found() -> None:
    with later("slow.sums", "add"):
        from slow.products import multiply  # type: ignore[import-not-found]
    assert multiply(2, 3) == 6


def test_module_that_is_there_already_stays() -> None:
    import slow.sums

    with later("slow.sums", "add"):
        from slow.sums import add
    assert add is slow.sums.add


def test_networks_come_without_the_compiler_and_what_would_ask_it_still_can() -> None:
    code = """
import sys
import counterweight.networks.backbones
assert "torch._dynamo" not in sys.modules
import torch
from torchvision.ops import roi_align
corners = torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]])
assert roi_align(torch.ones(1, 1, 4, 4), corners, output_size=1).item() == 1
from torchvision.ops.roi_align import is_compile_supported
assert is_compile_supported("cpu") == torch._dynamo.utils.is_compile_supported("cpu")
"""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
