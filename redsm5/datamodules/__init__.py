"""From CSV files to batches: reading, validation, alignment, splits, windows, batch plans."""
