"""`trades --plot`: the fills lie on the candles that a backtest's market had, and the picture says what they were.

`trades --plot`: where a trade was to end is in its picture, as its entry and the rules said it.
"""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from commands.shared.files import GAIN, LOSS
from commands.shared.verb_options import open_bot
from commands.trades.candles import CandleChart, PlannedLevels, draw_candles, draw_levels, planned_levels
from commands.trades.report import read
from tests.kit.bot.folder import typed
from tests.kit.rows import NOW
from tests.kit.values import VENUE_DAY
from tradebot.__main__ import main
from tradebot.errors import OperatorError
from tradebot.exits.kinds.targets import Ladder, TargetRung
from tradebot.exits.rules import effective_rules
from tradebot.model.candidate import Side
from tradebot.model.position import EntryTerms
from tradebot.model.trade import RestedStop
from tradebot.views.trades.history import History
from tradebot.views.trades.trade_row import Choice, TradeRow

BACKTEST = ("--sessions", "1", "--symbols", "AAPL,IWM,UNH,JPM", "--recorder", "none", "--name", "tried")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("candles")
    assert main(["backtest", *BACKTEST, "--state-dir", str(state)]) == 0
    return state / "backtests" / "tried"


def of(folder: Path, symbol: str = "UNH") -> CandleChart:
    with open_bot(str(folder), None) as bot:
        data = read(bot, Choice(symbol=symbol), by_lot=False)
        return draw_candles(bot, data.trades, symbol, data.as_of)


def test_picture_has_a_mark_for_each_fill_and_a_line_for_each_closed_trade(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "unh.svg"
    said = typed(capsys, "trades", "--symbol", "unh", "--plot", str(file), "--state-dir", str(folder))
    assert said.code == 0, said.err
    assert said.out.endswith(f"Written: {file}\n")
    found, svg = of(folder), file.read_text()
    for side, color in ((Side.BUY, "#1d4ed8"), (Side.SELL, "#b4530a")):
        # One mark more stands in the legend.
        marks = re.findall(rf'<use [^>]*style="fill: {color}', svg)
        assert len(marks) == 1 + sum(fill.side is side for fill in found.fills)
    won = [each.net_usd > 0 for each in found.trades if each.closed_at]
    lines = [len(re.findall(rf"stroke: {color}; stroke-width: 1.4", svg)) for color in ("#1f7a4d", "#c81e1e")]
    assert lines == [sum(won), len(won) - sum(won)]
    assert f"UNH, {len(found.trades)} trades, candles of 5 minutes" in svg


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "--plot draws the trades of one symbol"),
        (("--symbol", "TSLA"), "There is no trade in TSLA to draw"),
        (("--symbol", "UNH", "--tax", "2026"), "--plot draws the trades of one symbol"),
    ],
)
def test_nothing_is_drawn_without_one_symbol_that_was_traded(
    folder: Path, words: tuple[str, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = typed(capsys, "trades", *words, "--plot", str(tmp_path / "a.svg"), "--state-dir", str(folder))
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {why}")


def test_symbol_without_bars_says_so(folder: Path) -> None:
    with open_bot(str(folder), None) as bot:
        data = read(bot, Choice(symbol="UNH"), by_lot=False)
        with pytest.raises(OperatorError, match="There are no bars of TSLA"):
            draw_candles(bot, data.trades, "TSLA", data.as_of)


LADDER = Ladder(
    levels=(TargetRung(r=Decimal(1), share=Decimal("0.4")), TargetRung(r=Decimal("2.5"), share=Decimal("0.4")))
)
KEPT = EntryTerms(
    stop_loss_fraction=Decimal("0.02"), profit_target_fraction=Decimal("0.03"), invalid_fraction=Decimal("0.01")
)
HOUR = timedelta(hours=1)


def _trade(side: str) -> TradeRow:
    unknown: dict[str, Any] = dict.fromkeys(
        [name for name in TradeRow.__struct_fields__ if name not in ("multiplier", "unknown_fees", "open_fees_usd")]
    )
    told = {"strategy": "steps", "symbol": "AAPL", "side": side, "opened_at": NOW, "closed_at": NOW + HOUR}
    return TradeRow(**{**unknown, **told, "quantity": Decimal(10), "entry_price": Decimal(100)})


def plan_of(side: Side) -> PlannedLevels:
    """Return the plan of a trade of 10 units at 100 USD that lasted an hour, with a stop that was moved once."""
    trade = _trade("long" if side is Side.BUY else "short")
    against = Side.SELL if side is Side.BUY else Side.BUY
    stops = [
        RestedStop(trade.strategy, trade.symbol, of, NOW + at, Decimal(price))
        for of, at, price in (
            (against, -HOUR, 90),  # an earlier trade's
            (against, HOUR / 6, 98),
            (side, HOUR / 3, 97),  # that of the other side
            (against, HOUR / 2, 100),
            (against, 2 * HOUR, 110),  # a later trade's
        )
    ]
    past = History("0001", "sandbox", VENUE_DAY, NOW, Decimal(0), kept={trade.key: KEPT}, stops=tuple(stops))
    rules = SimpleNamespace(exits_watching=lambda position, kept: effective_rules((LADDER,), kept))
    bot: Any = SimpleNamespace(rules=rules, ledger_view=SimpleNamespace(orders=list))
    return planned_levels(bot, past, trade, ())


@pytest.mark.parametrize("side", Side)
def test_a_trade_has_the_levels_of_its_entry_and_the_stops_that_rested_while_it_was_open(side: Side) -> None:
    plan, sign = plan_of(side), side.sign
    assert plan.first_stop == 100 - 2 * sign
    assert plan.invalid == 100 - sign
    targets = [(Decimal(100 + 2 * sign), Decimal(4)), (Decimal(100 + 5 * sign), Decimal(4))]
    assert [(target.price, target.shares) for target in plan.targets] == targets
    assert plan.stops == [(NOW + HOUR / 6, Decimal(98)), (NOW + HOUR / 2, Decimal(100))]


@pytest.mark.parametrize("count", [1, 2])
def test_each_level_is_a_line_and_only_those_of_a_single_trade_are_named(count: int) -> None:
    axes = Figure().subplots()
    draw_levels(axes, [plan_of(Side.BUY)] * count, lambda at: int((at - NOW).total_seconds()) // 60, NOW + 2 * HOUR)
    lines: list[Any] = [(to_hex(one.get_color()), *np.transpose(one.get_xydata()).tolist()) for one in axes.lines]
    assert len(lines) == 6 * count
    assert (LOSS, [10, 30, 60], [98, 100, 100]) in lines
    assert [(xs, ys) for color, xs, ys in lines if color == GAIN][:2] == [([0, 60], [102, 102]), ([0, 60], [105, 105])]
    named = ["entry 100.00", "first stop 98.00", "target, 40%: 102.00", "target, 40%: 105.00", "reason gone 99.00"]
    assert [text.get_text() for text in axes.texts] == (named if count == 1 else [])
