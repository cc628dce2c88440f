"""The statistics of what the account earned."""
