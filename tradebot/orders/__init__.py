"""The single path for every order: record its intent, send it once, record the outcome."""
