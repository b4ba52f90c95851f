"""The best models of a search as one: their probabilities and spans combined."""
