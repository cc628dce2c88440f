"""What no figure shows is said in sentences, and only of an account that is long enough."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tests.commands.report.made import account
from tradebot.model.values import replace
from tradebot.views.performance.cautions import BEST, cautions
from tradebot.views.performance.report import CurvePoint
from tradebot.views.performance.return_figures import A_YEAR
from tradebot.views.performance.statistics import total_return

FIRST = date(2020, 1, 2)


def curve(benchmark: list[float]) -> list[CurvePoint]:
    return [
        CurvePoint(
            FIRST + timedelta(place),
            datetime(2020, 1, 2, tzinfo=UTC),
            False,
            Decimal(1),
            Decimal(0),
            1.0,
            0.0,
            value,
            None,
            1.0,
        )
        for place, value in enumerate(benchmark)
    ]


def said(returns: list[float], index: list[float], benchmark: str | None = "SPY") -> list[str]:
    return list(cautions(returns, curve(index), (), benchmark))


def test_less_than_a_year_says_nothing() -> None:
    assert said([0.01] * (A_YEAR - 1), [1.0]) == []
    assert len(said([0.01] * A_YEAR, [1.0])) == 3


def test_an_account_that_never_moved_has_no_best_sessions() -> None:
    assert len(said([0.0] * A_YEAR, [1.0])) == 2


def test_few_trades_are_counted() -> None:
    assert said([0.0] * A_YEAR, [])[0] == (
        "This rests on 0 closed trades. That is few: one more or one less could change it."
    )
    (first, *_) = account(3).trades
    many = [first] * 99
    assert "99 closed trades" in next(cautions([0.0] * A_YEAR, (), many, None))
    assert "one stretch of history" in next(cautions([0.0] * A_YEAR, (), [*many, first], None))
    still = replace(first, closed_at=None)
    assert "99 closed trades" in next(cautions([0.0] * A_YEAR, (), [*many, still], None))


def test_the_benchmarks_falls_are_counted_from_their_peaks() -> None:
    for index, words in (
        ([1.0, 0.81, 1.0], "SPY never fell by 20% in them, so nothing here shows what happens if it does."),
        ([1.0, 0.75, 0.9, 0.7], "SPY fell by 20% or more once in them."),
        ([1.0, 0.75, 1.0, 0.7, 1.1, 0.9], "SPY fell by 20% or more twice in them."),
        ([1.0, 0.75, 1.0, 0.7, 1.1, 0.8, 1.1, 0.2], "SPY fell by 20% or more 4 times in them."),
    ):
        assert words in said([0.0] * A_YEAR, index)[1]
    for unknown in (said([0.0] * A_YEAR, [1.0]), said([0.0] * A_YEAR, [1.0, 0.5], None)):
        assert unknown[1] == (
            "These 1.0 years are one stretch of history. Rates, volatility and trends of other times may suit the "
            "strategy less."
        )


def test_ten_years_are_more_than_one_stretch() -> None:
    assert not any("stretch" in sentence for sentence in said([0.0] * 10 * A_YEAR, [1.0]))


def test_the_result_is_also_shown_without_its_best_sessions() -> None:
    returns = [0.05] * BEST + [-0.001] * (A_YEAR - BEST)
    rest = total_return([-0.001] * (A_YEAR - BEST))
    assert said(returns, [])[-1] == (
        f"Without its 10 best of 252 sessions, the return would have been {rest:+.1%} instead of "
        f"{total_return(returns):+.1%}."
    )
