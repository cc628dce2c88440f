"""The venues, each in its own folder, and the definition of a venue driver."""
