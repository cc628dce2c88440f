"""Where options flow and candidates come from."""
