"""Optimizers, schedules and parameter groups. Option classes import no torch."""
