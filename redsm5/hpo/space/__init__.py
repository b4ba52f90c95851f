"""The search space as data: reading, drawing, checking, and config options out of a draw. Torch-free at import."""
