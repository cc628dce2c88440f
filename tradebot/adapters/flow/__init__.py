"""Adapters that read options flow and candidates."""
