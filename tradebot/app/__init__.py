"""The settings, and the one place where ports meet adapters."""
