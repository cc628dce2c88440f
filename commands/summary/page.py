"""`tradebot summary --html FILE`: the session as one page that needs no other file, for a screen or a phone."""

from commands.report.page import rendered
from commands.summary.screen import about, cells, columns, tells_reasons
from tradebot.views.summary.values import Summary


def page(data: Summary, mode: str, tail: str) -> str:
    """Return the page."""
    return rendered(
        "summary.html",
        data=data,
        about=about(data, mode, tail),
        cells=cells,
        columns=columns(data),
        reasons=tells_reasons(data),
    )
