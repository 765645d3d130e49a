"""Settings of published write-ups, laid over params.yaml; see docs/recipes.md. Nothing in `stages` imports this."""
