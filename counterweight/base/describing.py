"""Help text of a stage: its docstring, its params and the environment variables it obeys."""

import re
from collections.abc import Iterator

from counterweight.base.params import Params
from counterweight.base.schema import Section

# These change speed only, never a result.
ENVIRONMENT = {
    "COUNTERWEIGHT_DEVICE": "cpu, cuda, cuda:1 or mps; by default a GPU if there is one",
    "COUNTERWEIGHT_WORKERS": "worker processes; by default one per core",
    "COUNTERWEIGHT_DEVICES": "GPUs to use on this machine; by default 1",
    "COUNTERWEIGHT_NODES": "hosts on which torchrun or Slurm starts the stage; by default 1",
    "COUNTERWEIGHT_SCHEDULER": "address of a Dask scheduler whose workers process the images; by default none",
    "COUNTERWEIGHT_CACHE": "folder that caches finished work; by default .counterweight",
    "COUNTERWEIGHT_CACHE_GB": "maximum size of the cache in gigabytes, 0 to disable it; by default 20",
    "TORCH_HOME": "folder for downloaded weights; by default PyTorch's own",
}


def help_text(doc: str | None) -> str:
    """Return a stage's docstring, followed by descriptions of its params and environment variables.

    Parameters
    ----------
    doc : str or None
        Docstring. A line ``Params  ...`` names sections of params.yaml or single params by their dotted names; a last
        paragraph ``Obeys   ...``, which is left out, names environment variables.
    """
    text = doc or ""
    head, _, obeyed = text.partition("\nObeys ")
    variables = {name: ENVIRONMENT[name] for name in ENVIRONMENT if name in re.findall(r"\w+", obeyed)}
    parts = [head.strip()]
    for title, entries in (
        ("Params, from params.yaml:", params_of(text)),
        ("Environment variables, which change speed only:", variables),
    ):
        if entries:
            parts.append("\n".join([title, *(f"{name}  {description}" for name, description in entries.items())]))
    return "\n\n".join(parts)


def params_of(doc: str) -> dict[str, str]:
    """Return the descriptions of the params that a docstring names, by dotted name; sections are expanded."""
    line = re.search(r"^Params  (.*(?:\n {8}.*)*)", doc, re.MULTILINE)
    names = re.findall(r"[\w.]+", line[1]) if line else []
    known = dict(_descriptions(Params))
    return {param: known[param] for name in names for param in known if f"{param}.".startswith(f"{name}.")}


def _descriptions(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _descriptions(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(field.description).replace("`", "")
