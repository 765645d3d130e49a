"""Configurations of classifiers, with defaults for what most tests do not care about."""

from typing import Any

from counterweight.networks.classifier import ModelConfig


def design(model: str, layer: str | None, labels: list[str], size: int, **changes: Any) -> ModelConfig:
    """Return a multi-label config for whole color images, with changes."""
    settings: dict[str, Any] = {
        "activation": "relu",
        "pooling": "average",
        "flip_tta": False,
        "channels": 3,
        "task": "multilabel",
        "scores": "sigmoid",
        "crop": "none",
        "resize": {"width": 32, "height": 32, "mode": "stretch", "format": "png"},
        "frozen": False,
    }
    return ModelConfig(model=model, layer=layer, labels=labels, input_size=(size, size), **(settings | changes))
