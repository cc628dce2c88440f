"""The pages, in the order in which they are listed."""

from commands.web import bot_pages, earned_pages, symbol_pages
from commands.web.pages import Page

ORDER = (
    *("overview", "positions", "symbols", "symbol", "trades", "report", "backtests", "backtest", "signals"),
    *("schedule", "health", "events", "settings"),
)
BY_NAME = {page.name: page for page in (*bot_pages.PAGES, *symbol_pages.PAGES, *earned_pages.PAGES)}
PAGES: tuple[Page, ...] = tuple(BY_NAME[name] for name in ORDER)
