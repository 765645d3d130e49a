"""Comparisons of arms: tables of metrics, and confidence intervals of their difference."""
