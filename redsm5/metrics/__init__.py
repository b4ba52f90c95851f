"""Criteria metrics, evidence metrics, thresholds and calibration, on plain arrays and records."""
