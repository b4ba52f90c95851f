"""The largest batches that fit: probes, predictions and the search over them."""
