"""Measures of imbalance and of classifiers, thresholds, and charts of them."""
