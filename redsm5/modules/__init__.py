"""The multi-task module, its encoder, pooling, heads and losses. Option classes import no torch."""
