"""`trades --plot`: the fills lie on the candles that a backtest's market had, and the picture says what they were."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from commands.shared.verb_options import open_bot
from commands.trades.candles import AROUND, Drawn, draw_candles
from commands.trades.report import read
from tests.kit.bot.folder import typed
from tradebot.__main__ import main
from tradebot.errors import OperatorError
from tradebot.model.candidate import Side
from tradebot.views.trades.trade_row import Choice

BACKTEST = ("--sessions", "1", "--symbols", "AAPL,IWM,UNH,JPM", "--recorder", "none", "--name", "tried")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("candles")
    assert main(["backtest", *BACKTEST, "--state-dir", str(state)]) == 0
    return state / "backtests" / "tried"


def of(folder: Path, symbol: str = "UNH") -> Drawn:
    with open_bot(str(folder), None) as bot:
        data = read(bot, Choice(symbol=symbol), by_lot=False)
        return draw_candles(bot, data.trades, symbol, data.as_of)


@pytest.mark.parametrize("longest", [7, 0], ids=["5 minutes", "a day"])
def test_each_fill_lies_between_the_low_and_the_high_of_its_candle(
    folder: Path, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.trades.candles.FEW", timedelta(days=longest))
    found = of(folder)
    assert found.series.timeframe == ("5Min" if longest else "1Day")
    assert len(found.fills) >= 2 * len([each for each in found.trades if each.closed_at]) > 0
    for fill in found.fills:
        place = found.place(fill.at)
        # The spread lies around the last price, so what pays it is up to half of it outside.
        slack = 0.001 * float(fill.price)
        assert found.series.low[place] - slack <= fill.price <= found.series.high[place] + slack
    before_s = found.trades[0].opened_at.timestamp() - found.series.starts[0]
    assert 0 <= before_s <= AROUND[found.series.timeframe].total_seconds()


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
