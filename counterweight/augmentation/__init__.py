"""Copies: how many, of which images, and how each is made."""
