"""Load the settings, and connect ports to adapters."""
