"""How work is run: processes, the cache of finished work, progress, and files that take no second place."""
