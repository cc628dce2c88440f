"""What the options ask for: the sessions of a file, or up to a date, in the calendar of what is traded."""

from datetime import date
from pathlib import Path

import pytest

from commands.backtest.options import plan_backtest, settings_of
from commands.backtest.run_options import BacktestOptions
from exchange.tests.kit.price_files import BY_NAME, Style, save, session_minutes
from tests.kit.backtest.playing import generated, lines_of, written
from tradebot.errors import OperatorError
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.model.struct_tools import replace

THANKSGIVING = date(2026, 11, 26)


@pytest.fixture
def wish(tmp_path: Path) -> BacktestOptions:
    market = open_market_in_memory(generated(THANKSGIVING, 3, "MES", "GC")).market()
    path = written(tmp_path / "bars.csv", lines_of(market, ["MESZ6"], (0, 1, 2)))
    return BacktestOptions(state_dir=str(tmp_path / "bot"), profile="futures", bars=str(path), bar_stamp="start")


def test_file_of_contracts_is_played_in_sessions_of_globex(wish: BacktestOptions) -> None:
    made = plan_backtest(wish)
    assert (made.plan.spec.start, made.plan.spec.sessions) == (THANKSGIVING, 3)
    assert (made.plan.settings.universe, made.market.unused, made.market.lacking) == (["MES"], "", "")
    assert settings_of(wish).universe == ["MES"]


def test_days_are_chosen_among_those_of_the_file(wish: BacktestOptions) -> None:
    made = settings_of(replace(wish, first=date(2026, 11, 28)))
    assert (made.sandbox.start, made.sandbox.sessions) == (date(2026, 11, 30), 1)
    with pytest.raises(OperatorError, match="has bars from 2026-11-26 to 2026-11-30"):
        settings_of(replace(wish, last=date(2027, 1, 4)))


def test_generated_market_up_to_a_date_has_the_sessions_of_its_venue() -> None:
    # New York is closed on Thanksgiving, and Globex isn't.
    asked = BacktestOptions(first=date(2026, 11, 25), last=date(2026, 11, 27))
    sessions = {name: settings_of(replace(asked, profile=name)).sandbox.sessions for name in ("futures", "flow")}
    assert sessions == {"futures": 3, "flow": 2}


def test_a_symbol_without_a_sector_is_told_with_the_nearest_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    plan_backtest(BacktestOptions(symbols="APPL,MSFT", sessions=1))
    told = capsys.readouterr().err
    assert "APPL has no sector in the configuration" in told
    assert "did you mean AAPL" in told
    assert "MSFT" not in told


def test_published_file_says_itself_what_its_shape_knows_and_is_asked_for_the_rest(tmp_path: Path) -> None:
    path = save(tmp_path, BY_NAME["metatrader"], session_minutes(390), Style(separator="\t"), daily=False)
    wish = BacktestOptions(state_dir=str(tmp_path / "bot"), symbols="AAPL", bars=str(path))
    with pytest.raises(OperatorError, match="nothing names the symbol") as asked:
        plan_backtest(wish)
    assert asked.value.hint == "write --bars-as symbol=SYMBOL"
    with pytest.raises(OperatorError, match="names no zone"):
        plan_backtest(replace(wish, bars_as=("symbol=AAPL",)))
    made = plan_backtest(replace(wish, bars_as=("symbol=aapl", "zone=America/New_York")))
    assert (made.plan.spec.source, made.plan.spec.bar_stamp) == ("csv", "start")
    bars = made.market.market().day("AAPL", 0).bars
    assert (len(bars), bars[0].open, bars[-1].close, made.market.unused) == (390, 2_300_000, 2_339_400, "")
    with pytest.raises(OperatorError, match="is not an option for reading a file"):
        plan_backtest(replace(wish, bars_as=("symbl=AAPL",)))
