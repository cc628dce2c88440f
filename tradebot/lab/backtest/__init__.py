"""Run the bot in this process on the exchange's engine: with the same ports, but without a server in between."""
