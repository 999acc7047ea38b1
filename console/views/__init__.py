"""Where a page or a POST enters; each view finds, validates, calls and renders."""
