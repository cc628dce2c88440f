"""No single reading moves the highest equity far, and what nobody can explain moves it not at all."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import ACCOUNT, CASH, NOW, book
from tests.desk.test_halting import EXITS, Lossy, ends, why
from tests.worlds import call, evaluate_exits, trade_once, wanted
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.halting import JUMP, remember
from tradebot.model.account import Worth
from tradebot.model.reasons import Reason

Reading = tuple[int, int]
"""Equity, and what cash and positions add up to."""
AMOUNTS = st.integers(-1_000, 10**9)
READINGS = st.lists(st.tuples(AMOUNTS, AMOUNTS) | AMOUNTS.map(lambda usd: (usd, usd)), max_size=12)


def seen(*readings: Reading, ledger: MemoryLedger | None = None) -> MemoryLedger:
    """Return books whose passes have seen these readings."""
    if ledger is None:
        ledger = MemoryLedger(ACCOUNT)
        ledger.open_books(CASH, NOW)
    for equity, total in readings:
        remember(ledger, ledger.standing(), book(equity=Decimal(equity), worth=Worth(Decimal(total), Decimal(0))))
    return ledger


def peak_equity(ledger: MemoryLedger) -> Decimal | None:
    """Return the highest equity that these books know, USD."""
    peak = ledger.equity_peak()
    return (peak.highest or None) if peak else None


@given(READINGS)
def test_no_single_reading_moves_the_peak_more_than_tenfold(readings: list[Reading]) -> None:
    ledger, before = seen(), Decimal(0)
    for equity, total in readings:
        known = peak_equity(ledger) or Decimal(0)
        peak = peak_equity(seen((equity, total), ledger=ledger)) or Decimal(0)
        assert known <= peak <= max(known, Decimal(equity))
        assert peak <= max(JUMP * (known or CASH), before)
        before = max(before, Decimal(equity))


@settings(max_examples=50)
@given(st.lists(st.integers(91_000, 900_000), min_size=1, max_size=8), st.integers(0, 8), st.integers(10**7, 10**12))
def test_an_absurd_reading_leaves_the_peak_as_if_it_had_never_been(honest: list[int], place: int, absurd: int) -> None:
    right = [(usd, usd) for usd in honest]
    for lie in ((absurd, absurd), (absurd, honest[0]), (honest[0], absurd)):
        lied = [*right[:place], lie, *right[place:]]
        assert peak_equity(seen(*lied)) == peak_equity(seen(*right)) == max(honest)


def test_a_jump_that_a_second_pass_sees_too_counts_as_low_as_the_two_saw_it() -> None:
    ledger = seen((100_000, 100_000), (2_000_000, 2_000_000))
    assert peak_equity(ledger) == 100_000
    seen((1_900_000, 1_950_000), ledger=ledger)
    assert peak_equity(ledger) == 1_900_000
    seen((2_100_000, 2_100_000), ledger=ledger)
    assert peak_equity(ledger) == 2_100_000


def test_the_first_look_is_held_against_the_opening_cash() -> None:
    ledger = seen((5_000_000, 5_000_000))
    assert peak_equity(ledger) is None
    assert peak_equity(seen((110_000, 110_000), ledger=ledger)) == 110_000


@pytest.mark.parametrize("factor", ["100", "0.01", "0.5"])
def test_one_absurd_equity_halts_nobody_then_or_later_and_lets_nobody_enter(factor: str) -> None:
    scene = Lossy()
    evaluate_exits(scene.world(), EXITS)
    scene.lost = CASH - CASH * Decimal(factor)
    evaluate_exits(scene.world(), EXITS)
    (refused,) = trade_once(scene.world(wanted("AAPL")), call()).candidates
    assert Reason.EQUITY_UNEXPLAINED in {decision.reason for decision in refused.decisions if not decision.passed}
    scene.lost = Decimal(0)
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == ""
    assert ends(trade_once(scene.world(wanted("AAPL")), call(slot="open+31m"))) == [None]
