"""The simulated model: language, speech recognition and speech synthesis."""
