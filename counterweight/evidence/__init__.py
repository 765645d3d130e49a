"""What helps, and how sure that is: the probe before any training, and comparisons of arms after it."""
