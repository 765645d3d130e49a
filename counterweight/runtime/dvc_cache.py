"""Where DVC keeps its cache, since links into it are a project's own files."""

from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path


def dvc_cache_folder(project: Path) -> Path:
    """Return the cache folder of a DVC project, by its configuration or DVC's default, whether it exists or not."""
    folder = project / ".dvc"
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read([folder / "config", folder / "config.local"], encoding="utf-8")
    except ConfigError:
        return folder / "cache"
    return folder / config.get("cache", "dir", fallback="cache")
