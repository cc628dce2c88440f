"""What the screen and the page of a report have in common."""

from decimal import Decimal

from commands.report.contents import assumed, beside, leveled, outer, part, parts, ranked
from tests.commands.report.made import account, new_account, report, without_exposure
from tradebot.model.values import replace
from tradebot.views.performance.report import Block


def test_all_rows_are_shown_if_there_are_few_and_else_both_ends() -> None:
    assert [list(outer(range(count), 2)) for count in (0, 4, 5)] == [[], [0, 1, 2, 3], [0, 1, 3, 4]]


def test_what_profit_consists_of_is_its_whole() -> None:
    of = replace(account(3), earned=replace(account(3).earned, fees_usd=Decimal("-0.31")))
    assert [name for name, _ in parts(of, ())] == ["realized", "fees"]
    assert parts(of, ("open",))[1] == ("open", Decimal(0))
    assert sum(amount for _, amount in parts(of, ())) == of.earned.profit_usd - Decimal("0.31")


def test_the_part_that_was_asked_for_has_a_name() -> None:
    whole = report(account(3))
    asked = (whole, replace(whole, symbol="AAPL"), replace(whole, strategy="fl\x1bow", symbol="AAPL"))
    assert list(map(part, asked)) == ["", "AAPL", "fl ow in AAPL"]


def test_a_benchmark_at_the_accounts_exposure_needs_both() -> None:
    assert leveled(account(300)) == "SPY at 4%"
    assert leveled(replace(account(300), benchmark=None)) == ""
    assert leveled(without_exposure(account(300))) == ""


def test_accounts_are_side_by_side_also_where_one_has_no_such_figure() -> None:
    rows = dict(beside([account(3), new_account()], Block.TRADES))
    assert set(rows) >= {each.label for each in account(3).trade_figures}
    assert all(len(row) == 2 for row in rows.values())
    assert beside([new_account(), account(3)], Block.RETURNS)[0][1][1] == account(3).returns[0]
    alone = replace(account(3), activity=())
    assert {row[0] for _, row in beside([alone, account(3)], Block.ACTIVITY)} == {None}


def test_a_sentence_that_is_not_said_of_all_accounts_says_whose_it_is() -> None:
    both, one = (replace(account(3), label=label) for label in ("both", "one\x1b"))
    one = replace(one, assumptions={Block.CURVE: ("common", "special")})
    both = replace(both, assumptions={Block.CURVE: ("common",)})
    assert assumed([both, one], Block.CURVE) == ["common", "one : special"]
    assert assumed([both, one], Block.MONTHS) == []


def test_closed_trades_come_from_the_best_to_the_worst() -> None:
    of = account(3)
    held = replace(of.trades[0], closed_at=None, net_usd=Decimal(10**6))
    found = ranked(replace(of, trades=(held, *of.trades[1:])))
    assert found == sorted(of.trades[1:], key=lambda trade: -trade.net_usd)
