"""Scenarios: scripted sessions, from their files to their player."""
