"""The environment variables of the program itself; any other variable with the same prefix is a setting."""

PREFIX = "TRADEBOT_"
STATE = f"{PREFIX}STATE"
"""Names the bot's folder."""
CONFIG = f"{PREFIX}CONFIG"
"""Names the user's configuration file."""
DEBUG = f"{PREFIX}DEBUG"
"""Shows tracebacks."""
LIVE = f"{PREFIX}LIVE"
"""Holds the last characters of the number of the live account that may trade."""
WATCHDOG = f"{PREFIX}WATCHDOG"
"""Names the folder of a watchdog's own files."""
HANDED_OVER = f"{PREFIX}HANDED_OVER"
"""Set for a child process that runs one command: the number of the pipe from which it reads its environment, and its
parent's pid. The environment goes through a pipe so that no process is started with a key in its environment.
"""
CONFIRMED = f"{PREFIX}CONFIRMED"
"""What a person typed on a page or in the chat to confirm the child's command; passed only through that pipe."""
NOT_SETTINGS = frozenset({STATE, CONFIG, DEBUG, LIVE, WATCHDOG, HANDED_OVER})
