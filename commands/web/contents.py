"""The pages, in the order in which they are listed."""

from commands.web import bot_pages, what_if

PAGES = (*bot_pages.PAGES, *what_if.PAGES)
