"""Faults: what goes wrong on a connection, on demand."""
