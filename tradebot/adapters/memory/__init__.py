"""Store data in memory, for a run that is never resumed from disk. These stores pass the same tests as those in files.

The ledger's stores are the same as for files, but use tables in memory. Bars, facts and passes have separate stores,
because a backtest writes and reads them every minute: storing a bar and reading the last 200 takes 9 µs here, and 590
µs in SQLite on a RAM disk (2 cores, Python 3.11), more than a backtest's whole pass.
"""
