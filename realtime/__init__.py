"""The engine: it knows the Realtime API and knows nothing of Django."""
