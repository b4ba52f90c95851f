"""Optimizers, schedules and parameter groups. Option classes import no torch.

All variants are imported here: jsonargparse finds those that are imported.
"""

from redsm5.optim import adafactor, layerwise, optimizers, schedules, sgd

__all__ = ["adafactor", "layerwise", "optimizers", "schedules", "sgd"]
