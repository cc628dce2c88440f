"""`tradebot bars list`: show which bars are stored, where they came from, and how much room they take."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.bars.shared import bar_time, series_name, spans_of, stored_bytes
from commands.shared.times import zone
from commands.shared.verb_options import Report
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.series import PriceKind


class StoredBarsRow(Struct, frozen=True):
    """The bars of one symbol and timeframe from one source; `first` and `last` are starts of bars."""

    symbol: str
    timeframe: str
    source: str
    first: datetime
    last: datetime
    bars: int
    price: "PriceKind"


class BarsStored(Struct, frozen=True):
    """The stored bars, and their total size on disk in bytes."""

    spans: tuple[StoredBarsRow, ...]
    bars: int
    bytes: int


def run(app: "App") -> Report:
    """Read what the store holds; nothing is created or fetched."""
    rows = tuple(
        StoredBarsRow(
            span.symbol,
            span.timeframe,
            span.source,
            datetime.fromtimestamp(span.first_s, UTC),
            datetime.fromtimestamp(span.last_s, UTC),
            span.count,
            span.price,
        )
        for span in spans_of(app)
    )
    data = BarsStored(rows, sum(row.bars for row in rows), stored_bytes(app))
    return Report("bars-list", data, _render)


def _render(console: "Console", data: BarsStored) -> None:
    from commands.shared.tables import Table, number

    symbols = len({row.symbol for row in data.spans})
    console.print(f"{pluralize(data.bars, 'bar')} of {pluralize(symbols, 'symbol')}, {data.bytes / 1e6:,.1f} MB")
    if not data.spans:
        console.print("Next: tradebot bars fetch, or tradebot bars import FILE")
        return
    table = Table("symbol", "timeframe", number("bars"), f"from {zone()}", f"to {zone()}", "source")
    for row in data.spans:
        span = (bar_time(at, row.timeframe) for at in (row.first, row.last))
        table.row(escape(row.symbol), series_name(row.timeframe, row.price), f"{row.bars:,}", *span, escape(row.source))
    console.print(table)
