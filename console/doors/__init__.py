"""Where a socket enters: the timeline's, the sound's."""
