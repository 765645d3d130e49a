"""What is done with the project beside running it."""
