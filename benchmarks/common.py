"""What the measurements share: where the photographs are, and how a table gets into the README."""

import argparse
import os
import platform
import re
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"
WEIGHTS = "weights/resnet18-imagenet-through-layer3.safetensors"


def data_folder(doc: str | None) -> Path:
    """Read the command line of a measurement that takes no more than --data."""
    folder: Path = data_parser(doc).parse_args().data
    return folder.resolve()


def data_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of a measurement's command line, with the option --data."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared"))
    return parser


def scenes(data: Path) -> dict[str, Any]:
    """Params for the photographs of scenes with few deserts and sunsets, a linear head on a frozen ResNet-18."""
    return {
        "data.images": str(data / "datasets/miml_scenes/images"),
        "data.sheet": str(data / "datasets/miml_scenes/labels_imbalanced.xlsx"),
        "resize.width": 400,
        "resize.height": 400,
        "features.weights": str(data / WEIGHTS),
        "features.layer": "layer3",
        "features.input_size": 224,
        "train.weights": str(data / WEIGHTS),
        "train.layer": "layer3",
        "train.freeze": True,
        "train.input_size": 224,
        "train.epochs": 300,
        "train.patience": 20,
        "train.learning_rate": 0.003,
    }


def measured_by(module: str, packages: Sequence[str], seconds: float | None = None) -> str:
    """Say by which command, when, where and with which versions a table was made."""
    import torch  # Here, because most of what is measured does not need it.

    versions = "".join(f", {package} {version(package)}" for package in packages)
    took = "" if seconds is None else f": {seconds:.0f} s"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {device}"
    return f"`python -m {module}`, {date.today()}, {machine}{versions}{took}."


def has_section(name: str) -> bool:
    """Whether the README has the marks of a section."""
    return f"<!-- {name} -->\n" in README.read_text(encoding="utf-8")


def read_rows(name: str) -> list[list[str]]:
    """Return the cells of a section's table, by rows, without the two lines of its head."""
    text = README.read_text(encoding="utf-8").split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0]
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def write_section(name: str, section: str) -> None:
    """Put a section between its two marks in the README."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, rest = README.read_text(encoding="utf-8").split(begin)
    README.write_text(head + begin + section + end + rest.split(end)[1], encoding="utf-8")


def stage_seconds(log: str) -> dict[str, float]:
    """What each stage of a run of the pipeline says that it took, start-up aside."""
    return {name: float(took) for name, took in re.findall(r"^(\w+): .*, in ([\d.]+) s$", log, re.MULTILINE)}
