"""What the documentation has that is made by code."""
