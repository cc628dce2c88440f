"""Times as people write them, and the sessions they belong to."""
