"""The user's sheet and images as a dataset: annotations, splits, duplicates, missing labels, and the balanced sheet."""
