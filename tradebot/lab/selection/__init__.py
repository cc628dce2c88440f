"""What may be believed of the best of many trials: overfitting, data snooping, plateaus, and the verdict."""
