"""The balanced dataset as folders, WebDataset shards and Parquet files, for other libraries."""
