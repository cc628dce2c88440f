"""Stores in memory, for a run that isn't resumed from a disk. They pass the same tests as those in files.

The ledger's stores are those of files, over tables in memory. Bars, facts and records have stores of their own, because
a backtest writes and reads them every minute: storing a bar and reading the last 200 takes 9 µs here, and 590 µs in
SQLite on a RAM disk (2 cores, Python 3.11), more than a backtest's whole pass.
"""
