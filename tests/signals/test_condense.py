"""Lean facts: they keep what a decision reads, whatever order the facts came in."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, ago, alert, dark_print
from tradebot.model.flow import GreekExposure, IvRank, OiChange, SessionGex, SignedOiChange, SignedPrint
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.signals import condense, features

YESTERDAY = DAY - timedelta(days=1)
oi_lists = st.lists(st.builds(SignedOiChange, st.just(DAY), st.integers(-(10**6), 10**6)), max_size=8)


def facts_of(
    *,
    alerts: tuple[int, ...] = (),
    prints: tuple[SignedPrint, ...] = (),
    exposures: tuple[SessionGex, ...] = (),
    ranks: tuple[IvRank, ...] = (),
    oi_changes: list[SignedOiChange] | None = None,
) -> SymbolFacts:
    return condense.symbol_facts(
        "AAPL",
        alerts=[alert(number) for number in alerts],
        prints=prints,
        exposures=exposures,
        ranks=ranks,
        oi_changes=oi_changes or [],
    )


def contract(right: Right, change: int, day: date = DAY) -> OiChange:
    return OiChange("id", "AAPL", day, "AAPL261218C00100000", right, change)


@pytest.mark.parametrize(("price", "sign"), [("100.01", 1), ("100.00", 0), ("99.99", -1)])
def test_a_print_is_signed_by_its_price_against_the_middle_of_the_quote(price: str, sign: int) -> None:
    assert condense.lean(dark_print(price, premium=Decimal("1234.5"))) == SignedPrint(ago(60), 1234.5, sign)


def test_a_greek_exposure_is_calls_plus_puts() -> None:
    whole = GreekExposure("d", "AAPL", DAY, Decimal("1.5"), Decimal(-3))
    assert condense.lean(whole) == SessionGex(DAY, -1.5)


def test_calls_opened_and_puts_closed_are_bullish() -> None:
    assert condense.lean(contract(Right.CALL, 300)) == SignedOiChange(DAY, 300)
    assert condense.lean(contract(Right.PUT, -100)) == SignedOiChange(DAY, 100)
    assert condense.lean(contract(Right.PUT, 200)) == SignedOiChange(DAY, -200)


def test_what_is_read_whole_stays_whole() -> None:
    rank = IvRank("d", "AAPL", DAY, Decimal(10), Decimal("0.2"))
    assert condense.lean(alert()) == alert()
    assert condense.lean(rank) == rank


def test_no_fact_at_all_makes_empty_facts() -> None:
    assert facts_of() == SymbolFacts("AAPL")


def test_events_come_oldest_first() -> None:
    prints = (SignedPrint(ago(60), 5.0, 1), SignedPrint(ago(120), 7.0, -1))
    known = facts_of(alerts=(1, 3, 2), prints=prints)
    assert known.alerts == (alert(3), alert(2), alert(1))
    assert known.prints == (prints[1], prints[0])


def test_the_last_sessions_gamma_is_scaled_by_the_mean_magnitude_of_those_before() -> None:
    earlier = (SessionGex(YESTERDAY, -6.0), SessionGex(YESTERDAY - timedelta(days=1), 2.0))
    known = facts_of(exposures=(SessionGex(DAY, 9.0), *earlier))
    assert (known.gex, known.gex_scale, known.gex_sessions) == (9.0, 4.0, 2)


def test_a_first_session_of_gamma_has_no_scale() -> None:
    known = facts_of(exposures=(SessionGex(DAY, 9.0),))
    assert (known.gex, known.gex_scale, known.gex_sessions) == (9.0, None, 0)
    assert features.greek_exposure(known, 1) is None


def test_only_the_last_dates_rank_and_contracts_count() -> None:
    old, new = (IvRank("d", "AAPL", day, Decimal(10), Decimal("0.2")) for day in (YESTERDAY, DAY))
    changes = [SignedOiChange(DAY, 300), SignedOiChange(YESTERDAY, 9_999), SignedOiChange(DAY, -100)]
    known = facts_of(ranks=(new, old), oi_changes=changes)
    assert known.iv_rank == new
    assert (known.oi_net, known.oi_gross, known.oi_contracts) == (200, 400, 2)


@given(changes=oi_lists)
def test_oi_change_is_in_range_and_turns_with_the_signs(changes: list[SignedOiChange]) -> None:
    value = features.oi_change(facts_of(oi_changes=changes))
    if value is None:
        assert changes == []
    else:
        assert -1 <= value <= 1
        turned = [change._replace(contracts=-change.contracts) for change in changes]
        assert features.oi_change(facts_of(oi_changes=turned)) == -value
