"""Audio from the client: the input buffer, voice activity, transcription."""
