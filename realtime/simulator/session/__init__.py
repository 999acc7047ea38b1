"""One session: responses, tool calls and the schedule of events."""
