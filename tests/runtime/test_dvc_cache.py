from pathlib import Path

import pytest

from counterweight.runtime.dvc_cache import dvc_cache_folder
from tests.workspace import run


@pytest.mark.parametrize(
    ("config", "local", "folder"),
    [
        ("", "", ".dvc/cache"),
        ("[core]\n    autostage = true\n['remote \"store\"']\n    url = /else\n", "", ".dvc/cache"),
        ("[cache]\n    dir = ../../cache\n    type = symlink\n", "", ".dvc/../../cache"),
        ("[cache]\n    dir = /one\n", "[cache]\n    dir = /two\n", "/two"),
        ("this is no configuration", "", ".dvc/cache"),
    ],
)
def test_the_cache_is_where_the_configuration_says(config: str, local: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(config)
    (tmp_path / ".dvc/config.local").write_text(local)
    assert dvc_cache_folder(tmp_path) == tmp_path / folder


def test_dvc_links_into_that_folder(tmp_path: Path) -> None:
    run(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    run(tmp_path, "dvc", "config", "cache.dir", str(tmp_path / "elsewhere"))
    run(tmp_path, "dvc", "config", "cache.type", "symlink")
    (tmp_path / "a.png").write_bytes(b"a")
    run(tmp_path, "dvc", "add", "a.png")
    assert (tmp_path / "a.png").resolve().is_relative_to(dvc_cache_folder(tmp_path).resolve())
