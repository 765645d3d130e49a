"""Measurements on real input, one command each."""
