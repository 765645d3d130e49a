"""The library: rooms by subject, each importing only rooms before it. It knows no path of dvc.yaml."""
