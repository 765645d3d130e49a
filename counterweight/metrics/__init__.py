"""Measures of imbalance, classification metrics, decision thresholds, and charts."""
