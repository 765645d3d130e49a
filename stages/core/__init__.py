"""The library: importable and tested on its own; it knows no stage and no path of the pipeline."""
