"""Store a snapshot next to the log, so that a start needn't replay the entire log. The log is authoritative."""
