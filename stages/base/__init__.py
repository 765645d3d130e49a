"""What every stage stands on: its command line, its params, its tables, its errors and its outputs."""
