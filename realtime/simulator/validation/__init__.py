"""Checks of the client's input, and the errors of the API."""
