"""Run the requests that change the exchange from their recorded text, so that a replay of the log runs the same
code.
"""
