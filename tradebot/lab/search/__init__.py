"""Search for better values of settings: the space, the study that several processes share, and its trials."""
