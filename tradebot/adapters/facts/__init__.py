"""Facts and decisions in SQLite: what explains, never what pays."""
