"""Baselines that a run is set against."""
