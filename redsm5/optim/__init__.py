"""Optimizers, schedules and parameter groups. Option classes import no torch.

All variants are imported here: jsonargparse finds those that are imported.
"""

from redsm5.optim import adafactor, layerwise, one_cycle, optimizers, reduce_on_plateau, schedules, sgd

__all__ = ["adafactor", "layerwise", "one_cycle", "optimizers", "reduce_on_plateau", "schedules", "sgd"]
