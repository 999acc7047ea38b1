"""Checks of what clients send, and the errors of the API."""
