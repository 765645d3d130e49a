"""Settings of published write-ups for params.yaml; see docs/recipes.md. Nothing in `stages` imports this."""
