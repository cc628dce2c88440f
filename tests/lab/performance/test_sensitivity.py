"""A backtest beside its variants: hand-worked results, and the band over days of rebalancing."""

import pytest

from tests.kit.trades import past, sessions
from tests.kit.values import there
from tradebot.lab.performance.return_figures import A_QUARTER, A_YEAR
from tradebot.lab.performance.returns import account_steps
from tradebot.lab.performance.sensitivity import FEWEST, played_as, sensitivity, variant_of
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.struct_tools import replace

PLAYED = Variant(VariantKind.OTHER, "as played", 1257, 60, 0.8, -0.3, 0.12, 0.6)


def day(number: int, cagr: float | None) -> Variant:
    return Variant(VariantKind.REBALANCE_DAY, f"day {number}", 1257, 60, 0.5, -0.3, cagr)


def test_variant_result_comes_from_its_equities() -> None:
    found = variant_of(VariantKind.DELAY, "a day later", [100.0, 110.0, 99.0, 108.9], 2)
    assert (found.sessions, found.trades, found.cagr, found.sharpe) == (3, 2, None, None)
    assert found.total_return == pytest.approx(0.089)
    assert found.max_drawdown == pytest.approx(-0.1)


def test_variant_needs_a_year_for_growth_and_a_quarter_for_its_ratio() -> None:
    equities = [100 * 1.001**number * (1.01 if number % 2 else 1.0) for number in range(A_YEAR + 1)]
    whole, short, quarter = (
        variant_of(VariantKind.COSTS, "x", some, 0) for some in (equities, equities[:-1], equities[: A_QUARTER + 1])
    )
    assert whole.cagr == pytest.approx(equities[-1] / 100 - 1)
    assert (short.cagr, short.sharpe is not None, quarter.sharpe is not None) == (None, True, True)
    assert variant_of(VariantKind.COSTS, "x", equities[:A_QUARTER], 0).sharpe is None


def test_played_account_is_measured_like_its_variants() -> None:
    way = account_steps(past(1, A_YEAR), [], sessions(A_YEAR))
    equities = [float(step.before.equity_usd) for step in way.steps] + [float(way.steps[-1].after.equity_usd)]
    found, expected = played_as(way, 7), variant_of(VariantKind.OTHER, "as played", equities, 7)
    assert (found.name, found.sessions, found.trades) == (expected.name, A_YEAR, 7)
    for name in ("total_return", "max_drawdown", "cagr", "sharpe"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))


def test_variants_show_their_change_from_the_backtest() -> None:
    costly = Variant(VariantKind.COSTS, "costs x2", 1257, 60, 0.6, -0.35, 0.10, 0.5)
    found = there(sensitivity(PLAYED, [costly, day(1, 0.05)]))
    assert (found.played.name, found.played.cagr_change) == ("as played", 0.0)
    assert [(row.name, row.kind) for row in found.rows] == [("costs x2", "costs")]
    assert found.rows[0].cagr_change == pytest.approx(-0.02)
    assert ([row.name for row in found.rebalance_days], found.band) == (["day 1"], None)
    assert sensitivity(PLAYED, []) is None


def test_band_has_quartiles_and_the_place_of_the_backtest() -> None:
    found = there(sensitivity(PLAYED, [day(number, number / 100) for number in (5, 1, 4, 2, 3, 30, 40, 12, 13)]))
    assert found.band is not None
    # Sorted: 1 2 3 4 5 12 13 30 40 percent.
    assert found.band.days == 9
    assert [found.band.lowest, found.band.first_quartile, found.band.median] == pytest.approx([0.01, 0.03, 0.05])
    assert [found.band.third_quartile, found.band.highest] == pytest.approx([0.13, 0.40])
    assert found.band.below_played == 5


def test_too_few_rebalance_days_have_no_band() -> None:
    few = [day(number, 0.1) for number in range(FEWEST - 1)]
    found = there(sensitivity(PLAYED, [*few, day(9, None)]))
    assert (found.band, found.needed_days, len(found.rebalance_days)) == (None, FEWEST, FEWEST)
    assert there(there(sensitivity(replace(PLAYED, cagr=None), [*few, day(9, 0.2)])).band).below_played is None
