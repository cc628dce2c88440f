"""The money records of one account: a SQLite file with its journal."""
