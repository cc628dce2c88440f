"""The pages, in the order in which they are listed."""

from commands.web import bot_pages

PAGES = bot_pages.PAGES
