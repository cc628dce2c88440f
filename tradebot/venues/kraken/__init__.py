"""Trade perpetual futures at Kraken Futures over its REST API."""
