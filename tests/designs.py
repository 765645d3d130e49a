"""Designs of classifiers, with what most tests do not look at already set."""

from typing import Any

from counterweight.networks.classifier import Design


def design(model: str, layer: str | None, labels: list[str], size: int, **changes: Any) -> Design:
    """A multi-label design that sees whole squares in colour unless changes say otherwise."""
    settings: dict[str, Any] = {
        "activation": "relu",
        "pooling": "average",
        "mirror": False,
        "channels": 3,
        "task": "multilabel",
        "scores": "sigmoid",
        "view": "whole",
        "resize": {"width": 32, "height": 32, "mode": "stretch", "format": "png"},
    }
    return Design(model=model, layer=layer, labels=labels, size=(size, size), **(settings | changes))
