"""First contact with a new dataset: what its sheet means, which params suit it, and what the work will take."""
