"""`compare --html FILE`: runs side by side as one page, in the style of a report's page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commands.compare.screen import run_words
from commands.report.chart import curve
from commands.report.page import rendered

if TYPE_CHECKING:
    from commands.compare.report import Comparison
    from tradebot.views.performance.report import AccountReport


def page(data: "Comparison", accounts: "Sequence[AccountReport]") -> str:
    """Return the page of a comparison; the accounts are labeled as the page is to name them."""
    labels = [account.label for account in accounts]
    return rendered(
        "compare.html",
        data=data,
        accounts=accounts,
        curve=curve(accounts),
        runs=list(zip(labels, map(run_words, data.runs), strict=True)),
        rows=[(row.figures[0].label, row.figures) for row in data.rows],
    )
