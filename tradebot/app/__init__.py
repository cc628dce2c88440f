"""The settings, and the wiring that connects ports to adapters."""
