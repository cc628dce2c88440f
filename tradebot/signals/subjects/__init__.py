"""The subjects of signals: one file for each, with its kinds of facts and its components."""
