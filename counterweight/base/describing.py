"""What ``--help`` says beyond a stage's docstring: each of its params, and each environment variable that it obeys."""

import re
from collections.abc import Iterator

from counterweight.base.params import Params
from counterweight.base.schema import Section

# What changes the speed alone, and no result.
ENVIRONMENT = {
    "COUNTERWEIGHT_DEVICE": "cpu, cuda, cuda:1 or mps; by default a GPU if there is one",
    "COUNTERWEIGHT_WORKERS": "processes; by default one a core",
    "COUNTERWEIGHT_DEVICES": "GPUs of this machine to use at once; by default 1",
    "COUNTERWEIGHT_NODES": "hosts on which torchrun or Slurm started the stage; by default 1",
    "COUNTERWEIGHT_SCHEDULER": "address of a Dask scheduler, whose workers do the work; by default none",
    "COUNTERWEIGHT_CACHE": "folder of finished work; by default .counterweight",
    "COUNTERWEIGHT_CACHE_GB": "gigabytes that it may take, 0 to keep nothing; by default 20",
    "TORCH_HOME": "where downloaded weights are kept; by default PyTorch's own folder",
}


def described(doc: str | None) -> str:
    """A stage's docstring, with what its params and environment variables are.

    Parameters
    ----------
    doc : str or None
        With a line ``Params  ...`` that names sections of params.yaml, or single params by their dotted names, and one
        ``Obeys   ...`` that names environment variables.

    Returns
    -------
    str
        The docstring, in which lists take the place of the line on variables.
    """
    text = doc or ""
    head, _, variables = text.partition("\nObeys ")
    parts = [head.strip()]
    named = params_of(text)
    if named:
        parts.append("\n".join(["Params, from params.yaml:", *(f"{name}  {what}" for name, what in named.items())]))
    obeyed = [f"{name}  {what}" for name, what in ENVIRONMENT.items() if name in re.findall(r"\w+", variables)]
    if obeyed:
        parts.append("\n".join(["Environment variables, which change the speed alone:", *obeyed]))
    return "\n\n".join(parts)


def params_of(doc: str) -> dict[str, str]:
    """The params that a docstring names, by their dotted names, with their descriptions; sections are taken apart."""
    line = re.search(r"^Params  (.*)", doc, re.MULTILINE)
    names = re.findall(r"[\w.]+", line[1]) if line else []
    return dict(each for name in names if name.partition(".")[0] in Params.model_fields for each in _below(name))


def _below(name: str) -> Iterator[tuple[str, str]]:
    model: type[Section] = Params
    *sections, last = name.split(".")
    for section in sections:
        model = model.model_fields[section].annotation  # type: ignore[assignment]
    field = model.model_fields[last]
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
        for inner in field.annotation.model_fields:
            yield from _below(f"{name}.{inner}")
    else:
        yield name, str(field.description).replace("`", "")
