"""Evaluate the best of many trials: overfitting, data snooping, plateaus, and the verdict."""
