"""Parse times as people write them in the configuration, and find the sessions they belong to."""
