"""Values and options for every part of the simulator."""
