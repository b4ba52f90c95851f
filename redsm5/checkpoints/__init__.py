"""Checkpoints on disk: written whole or not at all, checked when read, kept by policy."""
