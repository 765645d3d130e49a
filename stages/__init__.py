"""The stages of the pipeline, one file each, and the library that they share."""
