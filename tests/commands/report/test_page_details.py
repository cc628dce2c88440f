"""The second picture of a page: its parts are there once there is enough to draw, and show what the report has."""

import re
from functools import cache
from typing import Any

import pytest

from commands.report.page import details
from tests.kit.trades import account, long_backtest
from tests.kit.values import there
from tradebot.model.struct_tools import replace


@cache
def drawn() -> dict[str, Any]:
    return there(details(long_backtest(300)))


def texts(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</text>", svg)


def test_year_has_holdings_half_years_and_the_spread_of_returns() -> None:
    shown = texts(drawn()["wide"])
    assert {"held", "volatility", "Sharpe", "beta", "sessions", "AAPL", "MSFT", "NVDA", "0%"} <= set(shown)
    assert "#" not in drawn()["wide"], "each color is one of the page"
    assert drawn()["words"] == (
        "From above: what was held (of the equity), the volatility of the half year until each session, its Sharpe "
        "ratio, its beta, how many sessions had which return."
    )


def test_bars_are_as_high_as_their_bins_have_sessions() -> None:
    counts = [each.count for each in long_backtest(300).further.histogram]
    bars = re.findall(
        r'<path d="M [\d.]+ ([\d.]+) [\d.]+ [\d.]+ [\d.]+ ([\d.]+)[^"]*" style="fill: var\(--leveled\)', drawn()["wide"]
    )
    heights = [float(bottom) - float(top) for bottom, top in bars]
    assert [height / max(heights) for height in heights] == pytest.approx([n / max(counts) for n in counts], abs=0.01)


def test_many_symbols_share_a_color_and_shorts_lie_below() -> None:
    of = long_backtest(300)
    (first, *_) = of.further.holdings
    many = tuple(replace(first, symbol=name) for name in ("_a", "B", "C", "D", "E", "F", "G"))
    rows = tuple(replace(row, held={"_a": -0.5, "F": 0.25, "G": 0.25}) for row in of.further.over_time)
    alone = replace(of.further, holdings=many, over_time=rows, windows=(), histogram=())
    shown = texts(there(details(replace(of, further=alone)))["narrow"])  # type: ignore[arg-type]
    assert {"_a", "E", "2 others", "−50%", "50%"} <= set(shown)
    assert "F" not in shown


def test_account_with_too_few_sessions_has_no_such_picture() -> None:
    assert details(account(3)) is None
