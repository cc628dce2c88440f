"""Returns of an account: by session, without transfers, and with every session that nobody saw."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import VENUE_DAY, fill, there
from tradebot.lab.performance.returns import Path, account_steps
from tradebot.model.account import CashMovement
from tradebot.model.bar import Session
from tradebot.model.position import Origin
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.views.trades.days import DateRange
from tradebot.views.trades.history import History

FIRST = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
D = Decimal


def sessions(count: int) -> list[Session]:
    opens = (FIRST + timedelta(days=place) for place in range(count))
    return [Session(at.date(), at, at + timedelta(hours=6, minutes=30)) for at in opens]


def end(place: int, equity: Decimal | None) -> SessionEnd:
    at = FIRST + timedelta(days=place, hours=6)
    return SessionEnd(at.date(), equity, None if equity is None else at, {}, None)


def history(*ends: SessionEnd, cash: str = "1000", **changed: object) -> History:
    return History("A1", "sandbox", VENUE_DAY, FIRST - timedelta(hours=1), D(cash), ends=ends, **changed)  # type: ignore[arg-type]


def day(place: int) -> date:
    return (FIRST + timedelta(days=place)).date()


def test_first_return_starts_at_the_opening_of_the_books() -> None:
    found = account_steps(history(end(0, D(1100)), end(1, D(990))), [], sessions(2))
    assert found.returns == pytest.approx((0.1, -0.1))
    assert there(found.start).is_start
    assert (found.sessions, found.missing, found.per_year) == ((day(0), day(1)), (), 252)


def test_unseen_session_is_named_and_covered_by_the_next_return() -> None:
    found = account_steps(history(end(0, D(1000)), end(1, None), end(3, D(1210))), [], sessions(4))
    assert found.returns == pytest.approx((0.0, 0.21))
    assert found.missing == (day(1), day(2))
    assert found.per_year == pytest.approx(252 / 2)


def test_close_that_the_venue_tells_in_the_next_session_counts() -> None:
    looks = (end(0, D(1000)), end(1, D(1005)), end(3, D(1210)))
    told = [replace(each, last_close=D(close)) for each, close in zip(looks, (900, 1100, 1320), strict=True)]
    found = account_steps(history(*told), [], sessions(4))
    assert [step.after.equity_usd for step in found.steps] == [1100, 1005, 1320, 1210]
    assert found.steps[0].after.at == sessions(1)[0].close
    assert found.missing == (), "the one that nobody saw is known by its close"


@pytest.mark.parametrize("close", [None, D(0)])
def test_close_that_the_venue_does_not_tell_is_as_a_pass_saw_the_account(close: Decimal | None) -> None:
    past = history(end(0, D(1100)), replace(end(1, D(990)), last_close=close))
    assert account_steps(past, [], sessions(2)) == account_steps(
        history(end(0, D(1100)), end(1, D(990))), [], sessions(2)
    )


def test_span_begins_at_the_end_of_the_session_before_it() -> None:
    past = history(end(0, D(1100)), end(1, D(990)), end(2, D(1089)), end(3, D(1000)))
    found = account_steps(past, [], sessions(4), DateRange(day(2), day(2)))
    assert found.returns == pytest.approx((0.1,))
    assert found.sessions == (day(2),)
    assert account_steps(past, [], sessions(4), DateRange(day(9))).steps == ()
    assert account_steps(past, [], sessions(4), DateRange(None, day(-5))) == Path(None, (), (), ())


def test_books_opened_after_a_close_do_not_cover_that_session() -> None:
    past = History("A1", "paper", VENUE_DAY, FIRST + timedelta(hours=7), D(1000), ends=(end(1, D(1010)),))
    assert account_steps(past, [], sessions(2)).sessions == (day(1),)


@pytest.mark.parametrize("origin", [Origin.PLAN, Origin.ADOPTION, Origin.TAKEN_OVER])
def test_opening_cash_is_no_equity_when_the_account_held_shares(origin: Origin) -> None:
    past = history(end(0, D(1500)), end(1, D(1650)), fills=(replace(fill(1), origin=origin),))
    assert account_steps(past, [], sessions(2)).returns == pytest.approx((0.1,))
    past = history(end(0, D(1500)), end(1, D(1650)), acknowledged={"IBM": D(5)})
    assert account_steps(past, [], sessions(2)).returns == pytest.approx((0.1,))


def test_empty_account_has_no_return() -> None:
    deposit = transfer(FIRST + timedelta(hours=1), D(1000))
    found = account_steps(history(end(0, D(1000)), end(1, D(1010)), cash="0"), [deposit], sessions(2))
    assert [step.value for step in found.steps] == [None, pytest.approx(0.01)]
    assert found.returns == pytest.approx((0.01,))


def transfer(at: datetime, usd: Decimal) -> CashMovement:
    return CashMovement(at, usd, "CSD", Origin.ACTIVITY, "id", "")


RETURNS = st.lists(st.integers(-300, 300).map(lambda bps: D(bps) / 10_000), min_size=1, max_size=20)
FLOWS = st.lists(st.integers(-200, 500).map(D), min_size=20, max_size=20)


def played(returns: list[Decimal], flows: list[Decimal], cash: Decimal) -> tuple[History, list[CashMovement]]:
    """Return an account that earns these returns, and whose owner moves amounts before each session's end."""
    equity, ends, moved = cash, list[SessionEnd](), list[CashMovement]()
    for place, (value, flow) in enumerate(zip(returns, flows, strict=False)):
        equity = equity * (1 + value) + flow
        ends.append(end(place, equity))
        moved.append(transfer(FIRST + timedelta(days=place, hours=2), flow))
    return history(*ends, cash=str(cash)), moved


@given(RETURNS, FLOWS, st.integers(100, 100_000).map(D))
def test_returns_ignore_transfers_and_account_size(returns: list[Decimal], flows: list[Decimal], size: Decimal) -> None:
    expected = pytest.approx([float(each) for each in returns], abs=1e-12)
    for cash, moves in ((D(100_000), flows), (size, [D(0)] * len(flows))):
        past, moved = played(returns, moves, cash)
        assert account_steps(past, moved, sessions(20)).returns == expected
