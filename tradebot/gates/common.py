"""The gates that entries and exits share."""

from decimal import Decimal

from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.desk import Book, Desk
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState


def answer(
    gate: Gate,
    passed: bool,
    reason: Reason,
    observed: Number | str | None = None,
    limit: Number | str | None = None,
    age_s: float | None = None,
) -> Decision:
    """Return PASS without a reason or FAIL with it, the numbers either way."""
    if passed:
        return Decision(gate, Verdict.PASS, None, observed, limit, age_s)
    return Decision(gate, Verdict.FAIL, reason, observed, limit, age_s)


def permission(desk: Desk) -> Decision:
    """Fail with the first closed door of permission: what every order is asked, exits and cancels too."""
    return _first_closed(desk.permission.closed)


def permission_to_enter(desk: Desk) -> Decision:
    """Fail with the first door that is closed to an order that adds risk; an arming that has ended is one more."""
    return _first_closed(desk.permission.closed_to_entries(desk.now))


def _first_closed(closed: tuple[tuple[Reason, str], ...]) -> Decision:
    if not closed:
        return Decision(Gate.PERMISSION, Verdict.PASS)
    reason, found = closed[0]
    return Decision(Gate.PERMISSION, Verdict.FAIL, reason, found)


def trading_state(desk: Desk) -> Decision:
    """Pass only in ACTIVE: this gate is asked of orders that add risk."""
    state = desk.state.state
    if state is TradingState.ACTIVE:
        return Decision(Gate.TRADING_STATE, Verdict.PASS, None, state.value)
    reason = Reason.FLATTEN if state is TradingState.FLATTEN else Reason.HALTED
    if desk.state.at is None:
        reason = Reason.STATE_UNREADABLE
    return Decision(Gate.TRADING_STATE, Verdict.FAIL, reason, f"{state.value} by {desk.state.who}: {desk.state.why}")


def session_open(desk: Desk) -> Decision:
    """Pass where the venue's clock and the stored calendar both say open; a disagreement is a fault, not a holiday."""
    if desk.session_open:
        return Decision(Gate.SESSION, Verdict.PASS)
    by_calendar = desk.session is not None and desk.session.contains(desk.now)
    if by_calendar != desk.clock.is_open:
        said = f"venue {_word(desk.clock.is_open)}, calendar {_word(by_calendar)}"
        return Decision(Gate.SESSION, Verdict.FAIL, Reason.CALENDAR_DISAGREES, said)
    opens = desk.clock.next_open.strftime("%Y-%m-%dT%H:%MZ")
    return Decision(Gate.SESSION, Verdict.FAIL, Reason.MARKET_CLOSED, f"opens {opens}")


def working(symbols: frozenset[str], symbol: str) -> Decision:
    """Fail while an order on the symbol may still fill: any order for an entry, one of ours for an exit."""
    return answer(Gate.WORKING, symbol not in symbols, Reason.ORDER_WORKING)


def unresolved(book: Book, symbol: str) -> Decision:
    """Fail while the fate of an earlier order on the symbol is unknown."""
    return answer(Gate.UNRESOLVED, symbol not in book.unresolved, Reason.INTENT_UNRESOLVED)


def closable(desk: Desk, symbol: str, quantity: Decimal) -> Decimal:
    """Return how much of a signed quantity the broker holds on its side, unsigned.

    The books may hold what somebody sold by hand: closing that would open the opposite side.
    """
    there = desk.net.get(symbol, Decimal(0))
    return min(abs(there), abs(quantity)) if (there > 0) == (quantity > 0) else Decimal(0)


def still_held(desk: Desk, symbol: str, quantity: Decimal) -> Decision:
    """Fail where the broker holds nothing of a signed quantity that is to be closed."""
    there = closable(desk, symbol, quantity)
    return answer(Gate.POSITIONED, there > 0, Reason.POSITION_GONE, there, abs(quantity))


def _word(is_open: bool) -> str:
    return "open" if is_open else "closed"
