"""Whether a difference between two arms can be told from chance."""
