"""The version of each document's form. It loads nothing, because `halt` prints a document too."""

from collections.abc import Mapping

VERSIONS: Mapping[str, int] = dict.fromkeys(("audit", "doctor", "health", "schedule-check", "signals", "status"), 2)
"""By verb; those without a row have version 1. Renaming or removing a field raises it."""
