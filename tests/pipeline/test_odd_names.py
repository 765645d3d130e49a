"""Names of the user's folders that a shell would change reach the stages as they are."""

from pathlib import Path

from counterweight.base import manifest
from tests.conftest import TINY, make_tiny_data
from tests.workspace import make_workspace, run


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    name = 'my $HOME `touch hacked`; it\'s "new" & a'
    make_tiny_data(tmp_path / name)
    paths = {"data.images": f"../{name}/images", "data.sheet": f"../{name}/labels.xlsx"}
    project = make_workspace(tmp_path / "project", TINY | paths)
    run(project, "dvc", "repro", "resize")
    assert len(manifest.read(project / "data/resized.csv")) == 80
    assert not list(tmp_path.rglob("hacked"))
