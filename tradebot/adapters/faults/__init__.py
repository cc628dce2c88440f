"""Named points at which a test may end this process."""
