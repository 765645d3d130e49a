"""The report: one HTML page that shows what was done to the data, and whether it helped."""
