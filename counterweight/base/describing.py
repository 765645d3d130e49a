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
    """Return a stage's docstring with descriptions of its params and environment variables.

    Parameters
    ----------
    doc : str or None
        Docstring. A line ``Params  ...`` names sections of params.yaml or single params by their dotted names; a last
        paragraph ``Obeys   ...`` names environment variables.

    Returns
    -------
    str
        The docstring without the ``Obeys`` paragraph, followed by the two lists.
    """
    text = doc or ""
    head, _, variables = text.partition("\nObeys ")
    parts = [head.strip()]
    params = [f"{name}  {description}" for name, description in params_of(text).items()]
    if params:
        parts.append("\n".join(["Params, from params.yaml:", *params]))
    names = re.findall(r"\w+", variables)
    obeyed = [f"{name}  {description}" for name, description in ENVIRONMENT.items() if name in names]
    if obeyed:
        parts.append("\n".join(["Environment variables, which change speed only:", *obeyed]))
    return "\n\n".join(parts)


def params_of(doc: str) -> dict[str, str]:
    """Return the descriptions of the params that a docstring names, by dotted name; sections are expanded."""
    line = re.search(r"^Params  (.*)", doc, re.MULTILINE)
    names = re.findall(r"[\w.]+", line[1]) if line else []
    known = [name for name in names if name.partition(".")[0] in Params.model_fields]
    return dict(item for name in known for item in _descriptions(name))


def _descriptions(name: str) -> Iterator[tuple[str, str]]:
    model: type[Section] = Params
    *sections, last = name.split(".")
    for section in sections:
        model = model.model_fields[section].annotation  # type: ignore[assignment]
    field = model.model_fields[last]
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
        for inner in field.annotation.model_fields:
            yield from _descriptions(f"{name}.{inner}")
    else:
        yield name, str(field.description).replace("`", "")
