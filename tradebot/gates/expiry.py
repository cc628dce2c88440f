"""Gates for contracts near expiry: no entries, and no open positions in the notice period or on the last trading
day.
"""

from datetime import date

from tradebot.gates.ask import ACCOUNT, CANDIDATE
from tradebot.gates.shared_gates import answer
from tradebot.model.decision import Decision, Gate
from tradebot.model.desk import Desk
from tradebot.model.instrument import Rolling
from tradebot.model.reasons import Reason


def date_on(desk: Desk) -> date:
    """Return the venue's date at the time of the desk."""
    return desk.session.date if desk.session else desk.books.day.date_of(desk.now)


def rolling_of(desk: Desk, symbol: str) -> Rolling | None:
    """Return a contract's roll dates; None for an instrument without expiry."""
    listing = desk.listings.get(symbol)
    return listing.rolling if listing else None


def check_roll_date(desk: Desk, symbol: str) -> Decision | None:
    """Check whether a contract's roll has already begun; None for an instrument without expiry."""
    rolling, today = rolling_of(desk, symbol), date_on(desk)
    if rolling is None:
        return None
    return answer(Gate.ROLL, today < rolling.on, Reason.CONTRACT_ROLLS, today.isoformat(), rolling.on.isoformat())


def none_overdue(desk: Desk) -> Decision | None:
    """Check that no contract is still open after the last day on which positions in it are allowed; None if none
    expires.
    """
    today = date_on(desk)
    positions = ((position.symbol, rolling_of(desk, position.symbol)) for position in desk.positions)
    ending = [(symbol, rolling.until) for symbol, rolling in positions if rolling is not None]
    if not ending:
        return None
    symbol, until = min(ending, key=lambda rolling: rolling[1])
    return answer(Gate.EXPIRY, today <= until, Reason.CONTRACT_OVERDUE, f"{symbol} on {today}", f"until {until}")


CANDIDATE.gate(Gate.ROLL)(lambda ask: check_roll_date(ask.desk, ask.candidate.symbol))
ACCOUNT.gate(Gate.EXPIRY)(lambda account: none_overdue(account.desk))
