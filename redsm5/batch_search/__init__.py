"""``redsm5 tune-batch``: the largest batches that fit into memory, found by probes in processes of their own."""
