"""The stores in memory, for a run that nobody has to resume from a disk. They pass the same suite as those in files."""
