"""Search for better setting values: the space, the study that several processes share, and its trials."""
