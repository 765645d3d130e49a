"""Inspection of a new dataset: the columns of its sheet, params that suit it, and a forecast of the work."""
