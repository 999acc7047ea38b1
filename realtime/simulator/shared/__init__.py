"""Values and options that every part of the simulator uses."""
