"""The core's data types: frozen values without I/O."""
