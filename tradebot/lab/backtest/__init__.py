"""Run the bot on the exchange's engine in this process: the same ports, without a server between them."""
