"""Run the requests that change the exchange, from the text that is recorded in the log.

Because of that, replaying the log runs the same code.
"""
