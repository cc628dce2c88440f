"""The single path for every order: record an intent, send it once, record the outcome."""
