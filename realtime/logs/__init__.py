"""Reading and writing log files: a session's entries outside the database."""
