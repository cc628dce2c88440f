"""The screen of what only longer accounts and backtests have to say."""

import pytest

from commands.report.extended_screen import short_percentage
from commands.report.report_text import band_words, costs_words
from commands.report.screen import render
from commands.shared.verb_options import console
from tests.kit.trades import account, long_backtest, report, without_exposure
from tradebot.lab.performance.report import AccountReport
from tradebot.model.struct_tools import replace


def screen(*of: AccountReport) -> list[str]:
    shown = console()
    with shown.capture() as captured:
        render(shown, report(*of))
    return captured.get().splitlines()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


def test_screen_of_a_long_backtest_shows_every_part() -> None:
    of, lines = long_backtest(), screen(long_backtest())
    further = of.further
    rows = {line.split("  ")[0]: line.split() for line in lines}
    assert [line.split()[1] for line in lines if line.startswith("2025 ")][-1] == short_percentage(
        further.by_year[0].value
    )
    (table,) = (line for line in lines if line.startswith("Years, %"))
    assert table.split()[2:7] == ["return", "SPY", "SPY", "at", "125%"]
    assert further.costs is not None
    assert rows["All together"][2] == f"{further.costs.total.usd:,.2f}"
    assert (rows["Deflated Sharpe ratio"][-4:], rows["costs x2"][2]) == (["best", "of", "12", "trials"], "+8.50%")
    assert further.sensitivity is not None
    for sentence in (*further.cautions, band_words(further.sensitivity), costs_words(further.costs)):
        assert any(sentence in line for line in lines)


def test_screen_of_a_short_account_shows_no_further_part() -> None:
    text = "\n".join(screen(account(3)))
    for words in ("Years, %", "Spans of a year", "drag a year", "Chance ", "Played again", "can't show"):
        assert words not in text


def test_unknown_columns_are_left_out_of_the_years_table() -> None:
    (table,) = (line for line in screen(without_exposure(long_backtest())) if line.startswith("Years, %"))
    assert table.split()[2:5] == ["return", "SPY", "cash"]
    (table,) = (line for line in screen(replace(long_backtest(), benchmark=None)) if line.startswith("Years, %"))
    assert table.split()[2:4] == ["return", "cash"]


def test_sensitivity_words_say_what_is_lacking() -> None:
    of = long_backtest().further
    assert of.sensitivity is not None
    assert of.costs is not None
    few = replace(of.sensitivity, band=None, rebalance_days=of.sensitivity.rebalance_days[:3])
    assert band_words(few).startswith("There are 3 rebalance days with a year of sessions or more; it takes 5")
    assert band_words(replace(few, rebalance_days=())) == ""
    assert costs_words(replace(of.costs, total=replace(of.costs.total, drag=None))) == ""
