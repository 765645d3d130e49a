"""The stages of the pipeline, and the commands init and predict: a story file each."""
