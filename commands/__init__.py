"""The command-line interface, with one verb per module."""
