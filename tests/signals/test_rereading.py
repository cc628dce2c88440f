"""A row that came before is read once, and what comes of a reply is the same as if all of it were read."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from tests.builders import NOW
from tests.signals.source_rows import JUNK, NO_QUOTA, row, seeded
from tradebot.model.flow import FlowPage
from tradebot.signals.kinds import kind_of, kinds
from tradebot.signals.normalize import normalize, read_one
from tradebot.signals.rereading import Rereading

LASTING = sorted(name for name, kind in kinds().items() if not kind.changes)
SYMBOLS = ("AAPL", "MSFT")


def page(name: str, symbol: str | None, *rows: object) -> FlowPage:
    return FlowPage(name, symbol, rows, NO_QUOTA)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("name", LASTING)
def test_it_reads_as_normalizing_does(name: str, seed: int) -> None:
    kind, chance, reading = kind_of(name), seeded(seed), Rereading()
    symbols = (None,) if kind.market_wide else SYMBOLS
    held: dict[str | None, list[object]] = {symbol: [] for symbol in symbols}
    at = NOW - timedelta(hours=8)
    for _ in range(12):
        symbol = chance.choice(symbols)
        rows = held[symbol]
        for _ in range(chance.randrange(4)):
            made: object = row(kind, chance) | ({"ticker": symbol} if symbol and chance.random() < 0.97 else {})
            if isinstance(made, dict) and chance.random() < 0.1:
                made[chance.choice([*made])] = chance.choice(JUNK)
            rows.insert(0, made if chance.random() < 0.98 else chance.choice(JUNK))
        if rows and chance.random() < 0.2:
            rows.pop(chance.randrange(len(rows)))
        if rows and chance.random() < 0.1:
            rows.append(chance.choice(rows))
        asked = page(name, symbol, *rows)
        assert reading(kind, asked, at) == normalize(kind, asked, at)
        at += timedelta(hours=chance.choice((0, 1, 2)))


def test_a_row_that_came_before_is_not_read_again() -> None:
    kind, reading = kind_of("flow_alerts"), Rereading()
    rows = [row(kind, seeded(number)) | {"ticker": "AAPL"} for number in range(8)]
    with patch("tradebot.signals.rereading.read_one", wraps=read_one) as read:
        first = reading(kind, page(kind.name, "AAPL", *rows[1:]), NOW)
        begun = read.call_count
        second = reading(kind, page(kind.name, "AAPL", *rows), NOW + timedelta(minutes=5))
    assert len(first.facts) == begun == 7, first.rejected
    assert read.call_count == 8
    assert second.facts[1:] == first.facts
