"""What the signals are about: one file for each subject, with its kinds of facts and its components."""
