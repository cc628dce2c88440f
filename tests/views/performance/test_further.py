"""Each further part of a report is there only if there is something to say."""

import pytest

from tests.commands.report.made import account, long_backtest, new_account
from tests.views.performance.played import known, past, rotated, sessions, spy
from tradebot.model.evidence import NO_EVIDENCE, Evidence, Trials
from tradebot.model.values import replace
from tradebot.views.performance.report import AccountReport, Block, Further
from tradebot.views.performance.reporting import Material, account_report

NOTHING = Further((), (), None, None, None, None, ())
PARTS = {Block.YEARS, Block.ROLLING, Block.COSTS, Block.CHANCE, Block.SENSITIVITY}


def reported(count: int, evidence: Evidence = NO_EVIDENCE) -> AccountReport:
    return account_report(Material("a", past(1, count), sessions(count), spy(2, count), 0.0, evidence=evidence))


def test_a_long_backtest_has_every_part() -> None:
    found = long_backtest()
    assert all(getattr(found.further, name) for name in Further.__struct_fields__)
    assert found.assumptions.keys() >= PARTS
    assert found.further.sensitivity is not None
    assert found.further.sensitivity.played.trades == sum(1 for trade in found.trades if trade.closed_at)
    assert found.further.sensitivity.played.total_return == pytest.approx(found.returns[0].value)
    assert found.further.costs is not None
    assert found.further.costs.after.value == found.returns[1].value


def test_an_account_without_a_past_has_none() -> None:
    assert new_account().further == NOTHING
    assert PARTS.isdisjoint(new_account().assumptions)


def test_a_short_account_has_only_its_year() -> None:
    found = account(3)
    assert replace(found.further, by_year=()) == NOTHING
    assert PARTS & found.assumptions.keys() == {Block.YEARS}


def test_short_backtests_say_how_many_sessions_their_selection_takes() -> None:
    found = reported(3, Evidence(trials=Trials(5)))
    assert found.further.selected is not None
    assert found.further.selected.deflated.lacks == 60
    assert found.further.chance is None
    assert "the best of 5 independent trials" in found.assumptions[Block.CHANCE][0]


def test_spans_that_are_too_few_are_named_among_what_is_not_known() -> None:
    assert "There are 252 session returns; it takes 504 for worst span of a year." in reported(252).unknown


def test_rates_by_date_are_what_cash_earns() -> None:
    found, evidence = long_backtest(), known(530)
    assert "from 0.10% to 5.00% per year in this span" in " ".join(found.assumptions[Block.CURVE])
    assert "costs what cash earns and 1.50% a year." in " ".join(found.assumptions[Block.CURVE])
    assert "above what cash earned meanwhile" in " ".join(found.assumptions[Block.RETURNS])
    days = [point.session for point in found.curve]
    changed = days.index(evidence.cash_rates[1].day)
    assert found.curve[changed - 1].cash == pytest.approx(1.001 ** ((changed - 1) / 252))


def test_a_part_of_the_account_does_not_change_what_is_the_whole_account_s() -> None:
    history = rotated(1, 260)
    whole, part = (
        account_report(Material("a", history, sessions(260), spy(2, 260), 0.0, strategy=name))
        for name in (None, "other")
    )
    assert replace(part.further, cautions=()) == replace(whole.further, cautions=())
