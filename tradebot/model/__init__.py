"""The vocabulary: frozen values with no I/O."""
