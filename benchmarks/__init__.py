"""Measurements on real input, one command each."""

import stages  # noqa: F401  # Before PyTorch, as in a stage.
