"""The socket protocol of Interactive Brokers' TWS, at version 178."""
