"""Criteria matching and evidence binding on clinical posts with pretrained encoders."""

__version__ = "0.1.0"
