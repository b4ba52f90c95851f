"""Streams of random numbers: what is drawn from (seed, epoch) for one purpose never depends on another."""

BATCH_STREAM = 0
"""Order of examples and batches."""
PAIR_STREAM = 1
"""Which criteria a post is paired with; the index of the post follows."""
WINDOW_STREAM = 2
"""Which windows a training step sees; the indices of post and criterion follow."""
TOKEN_STREAM = 3
"""Which tokens a training step hides; the indices of post and criterion follow."""
AUGMENTATION_STREAM = 4
"""How the evidence of a post is changed; the index of the post follows."""
