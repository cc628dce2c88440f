"""Store facts and decisions in SQLite. They explain what happened; money never depends on them."""
