"""The single path for every order: record a promise, send it once, record the outcome."""
