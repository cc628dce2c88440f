"""Connect to the venues, each in its own folder, and define what a venue driver is."""
