"""Store a snapshot beside the log so that a start needn't replay all of it. The log is authoritative."""
