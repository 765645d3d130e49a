"""Oversampling: how many copies each group needs, of which images, and how each copy is made."""
