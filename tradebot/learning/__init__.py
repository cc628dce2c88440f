"""Define the types and decisions of learned policies; everything here is pure. Models run in another process."""
