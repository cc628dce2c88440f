"""The environment variables of the program itself; every other name with their prefix is a setting."""

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
"""Names the folder of a watch."""
HANDED_OVER = f"{PREFIX}HANDED_OVER"
"""Names the pipe in which a one-shot finds its environment, because no process is started with a key in its own, and
the process that started it."""
CONFIRMED = f"{PREFIX}CONFIRMED"
"""Has, in that pipe only, what a person typed on a page or in the chat to confirm the one-shot."""
NOT_SETTINGS = frozenset({STATE, CONFIG, DEBUG, LIVE, WATCHDOG, HANDED_OVER})
