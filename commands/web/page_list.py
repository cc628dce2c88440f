"""The pages, in the order in which they are listed."""

from commands.web import bot_pages, performance_pages, symbol_pages, what_if
from commands.web.pages import Page

ORDER = (
    *("overview", "positions", "symbols", "symbol", "funnel", "what-if", "trades", "report", "backtests", "backtest"),
    *("signals", "schedule", "health", "events", "settings"),
)
EVERY = (*bot_pages.PAGES, *symbol_pages.PAGES, *what_if.PAGES, *performance_pages.PAGES)
PAGES: tuple[Page, ...] = tuple(sorted(EVERY, key=lambda page: ORDER.index(page.name)))
