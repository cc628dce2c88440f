"""A command-line trading bot that its owner can question."""

__version__ = "0.1.0"
