"""The market features by subject: each module lists its own as FEATURES."""
