"""Execution: worker processes, the cache of finished work, progress, and files that share disk space."""
