"""The page that shows what was done to the data and whether it helped."""
