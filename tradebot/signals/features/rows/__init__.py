"""The features of the market by what they look at: each module lists its own as FEATURES."""
