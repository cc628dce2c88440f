"""A command-line trading bot that explains its decisions to its owner."""

__version__ = "0.1.0"
