"""Faults: presets of failures on a connection."""
