"""Gates that entries and exits share.

If the venue's clock and a second clock disagree, the time is unknown (`clocks_agree`), and nothing that depends on the
time happens: no entries, no exits because of time, no claims of slots, and no arming. No order is considered expired
either. Exits because of a price, `flatten` and cancels continue.
"""

from datetime import datetime
from decimal import Decimal

from tradebot.model.bar import SUSPENDED, Session
from tradebot.model.books import Books
from tradebot.model.candidate import Candidate, Side
from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.desk import Desk, RiskBook
from tradebot.model.fact_kind import Drift
from tradebot.model.instrument import Instrument, Listing
from tradebot.model.limits import Limits
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.resting_orders import HoldingKey
from tradebot.model.trading import TradingState


def answer(
    gate: Gate,
    passed: bool,
    reason: Reason,
    observed: Number | str | None = None,
    limit: Number | str | None = None,
    age_s: float | None = None,
) -> Decision:
    """Return PASS, or FAIL with the reason; both include the numbers."""
    if passed:
        return Decision(gate, Verdict.PASS, None, observed, limit, age_s)
    return Decision(gate, Verdict.FAIL, reason, observed, limit, age_s)


def check_cooldown(gate: Gate, reason: Reason, last: datetime | None, now: datetime, wait_s: float) -> Decision:
    """Compare the seconds since an event with the wait that follows it; pass if there was none."""
    waited_s = (now - last).total_seconds() if last else None
    return answer(gate, waited_s is None or waited_s >= wait_s, reason, waited_s, wait_s, waited_s)


def permission(desk: Desk) -> Decision:
    """Fail with the first failed condition of permission.

    This gate applies to every order, including exits and cancels.
    """
    return _first_closed(desk.permission.closed)


def permission_to_enter(desk: Desk) -> Decision:
    """Fail with the first failed condition for an order that adds risk, such as an expired arming."""
    return _first_closed(desk.permission.closed_to_entries(desk.now))


def _first_closed(closed: tuple[tuple[Reason, str], ...]) -> Decision:
    if not closed:
        return Decision(Gate.PERMISSION, Verdict.PASS)
    reason, detail = closed[0]
    return Decision(Gate.PERMISSION, Verdict.FAIL, reason, detail)


def promotion(desk: Desk, strategy: str) -> Decision | None:
    """Refuse a strategy that is in shadow, or that isn't promoted as far as it must be.

    With real money, every strategy must be promoted to it. On paper, only a strategy with `shadow: until_promoted` must
    be promoted. Return None if no promotion is needed.
    """
    if strategy in desk.permission.in_shadow:
        return Decision(Gate.PROMOTION, Verdict.FAIL, Reason.IN_SHADOW, "shadow: true", "shadow: false")
    if rung := desk.permission.awaiting_promotion.get(strategy):
        return Decision(Gate.PROMOTION, Verdict.FAIL, rung.reason, rung.found, rung.needed)
    if desk.permission.climbed is None:
        return None
    record = desk.permission.climbed.get(strategy)
    if record is None:
        return Decision(Gate.PROMOTION, Verdict.UNKNOWN, Reason.NOT_PROMOTED, "never promoted")
    verdict = Verdict.PASS if record.share > 0 else Verdict.FAIL
    return Decision(Gate.PROMOTION, verdict, record.reason, record.found, record.needed)


def trading_state(desk: Desk) -> Decision:
    """Pass only if the state is ACTIVE. This gate applies to orders that add risk."""
    state = desk.state.state
    if state is TradingState.ACTIVE:
        return Decision(Gate.TRADING_STATE, Verdict.PASS, None, state.value)
    reason = Reason.FLATTEN if state is TradingState.FLATTEN else Reason.HALTED
    if desk.state.at is None:
        reason = Reason.STATE_UNREADABLE
    return Decision(Gate.TRADING_STATE, Verdict.FAIL, reason, f"{state.value} by {desk.state.who}: {desk.state.why}")


def blocks_entries(desk: Desk, strategy: str) -> Decision | None:
    """Return the first refusal of every entry of a strategy, whatever it wants: by permission, by the trading state or
    by a missing promotion; None if there is none.
    """
    answers = (permission_to_enter(desk), trading_state(desk), promotion(desk, strategy))
    return next((answer for answer in answers if answer is not None and not answer.passed), None)


def instrument_known(desk: Desk, symbol: str) -> Decision | None:
    """Refuse an entry in an unlisted symbol, or one whose multiplier differs from that of existing positions.

    Otherwise return None.
    """
    listing = desk.listings.get(symbol)
    if listing is None or symbol in desk.unlisted:
        detail = f"listed until {listing.read_at:%Y-%m-%dT%H:%MZ}" if listing else None
        return Decision(Gate.INSTRUMENT, Verdict.UNKNOWN, Reason.INSTRUMENT_UNKNOWN, detail)
    if doubt := _doubt(desk, listing):
        return Decision(Gate.INSTRUMENT, Verdict.FAIL, Reason.CONTRACT_DIFFERS, doubt)
    opened = desk.books.opened_otherwise(listing.instrument)
    if opened is None:
        return None
    now, before = listing.instrument.multiplier, opened.multiplier
    return Decision(Gate.INSTRUMENT, Verdict.FAIL, Reason.INSTRUMENT_CHANGED, now, before)


def _doubt(desk: Desk, listing: Listing) -> str:
    """Return what is doubtful about a listing, or about another contract on the same coin or company.

    Empty if nothing is.
    """
    on = listing.instrument.underlying
    doubts = (
        entry.doubt for entry in desk.listings.values() if on and entry.instrument.underlying == on and entry.doubt
    )
    return listing.doubt or next(doubts, "")


def session_open(desk: Desk) -> Decision:
    """Pass if the venue's clock and both calendars agree that the session is open and when it closes."""
    clock, session, differs = desk.clock, desk.session, desk.calendar_differs
    by_calendar = session is not None and session.contains(desk.now)
    if by_calendar != clock.is_open:
        differs = f"broker {_word(clock.is_open)}, calendar {_word(by_calendar)}"
    elif session is None or not by_calendar:
        return _market_closed(desk)
    # The two disagree about a half day: with the broker's clock, say what its calendar has.
    elif clock.next_close != session.close:
        differs = f"broker closes {clock.next_close:%Y-%m-%dT%H:%MZ}, calendar {session.close:%Y-%m-%dT%H:%MZ}"
    return answer(Gate.SESSION, not differs, Reason.CALENDAR_DISAGREES, differs or None)


def session_open_for_exits(desk: Desk, limits: Limits) -> Decision:
    """Check the session for an order that only reduces risk: the venue's report alone is enough.

    The trading hours that the venue gives for a symbol with a position are enough too, because a wrong date or calendar
    in the bot must not block a stop. While the two clocks disagree, it is unknown which date to look up, so a closed
    session isn't reported as a fault.
    """
    if desk.clock.is_open or any(_trades_now(desk, position.symbol) for position in desk.positions):
        return Decision(Gate.SESSION, Verdict.PASS)
    return session_open(desk) if clocks_agree(desk.clock_ahead_s, limits).passed else _market_closed(desk)


def instrument_open(desk: Desk, instrument: Instrument) -> Decision | None:
    """Pass if an instrument is open by the hours that the venue gives for it or, without these, by its own calendar.

    This applies to entries and exits: an instrument that closes earlier than its venue accepts no orders. Return None
    if the venue gives no hours for this moment, and the instrument has no calendar other than its venue's.
    """
    if hours := desk.hours_of(instrument.symbol):
        session = hours.session_at(desk.now, desk.books.day.date_of(desk.now))
        detail = f"the broker tells {_span(session)}" if session else "the broker tells of no session today"
        return answer(Gate.SESSION, hours.trades(desk.now), Reason.MARKET_CLOSED, detail)
    if instrument.calendar == desk.calendar:
        return None
    session = desk.session_of(instrument)
    if session is None:
        return Decision(Gate.SESSION, Verdict.FAIL, Reason.MARKET_CLOSED, f"{instrument.calendar} has no session today")
    detail = f"{instrument.calendar} {_span(session)}"
    return answer(Gate.SESSION, session.contains(desk.now), Reason.MARKET_CLOSED, detail)


def liquid_now(desk: Desk, symbol: str, limits: Limits) -> Decision | None:
    """Restrict an entry to the venue's liquid hours; None if all hours are allowed, or the venue gives none."""
    hours = desk.hours_of(symbol)
    if hours is None or not limits.liquid_hours_only:
        return None
    near = next((session for session in hours.liquid if session.close > desk.now), None)
    detail = f"liquid {_span(near)}" if near else "no liquid hours are told"
    return answer(Gate.SESSION, hours.is_liquid(desk.now), Reason.HOURS_NOT_LIQUID, detail)


def _trades_now(desk: Desk, symbol: str) -> bool:
    hours = desk.hours_of(symbol)
    return hours is not None and hours.trades(desk.now)


def _span(session: Session) -> str:
    return f"{session.open:%Y-%m-%dT%H:%MZ} to {session.close:%Y-%m-%dT%H:%MZ}"


def _market_closed(desk: Desk) -> Decision:
    opens = desk.clock.next_open.strftime("%Y-%m-%dT%H:%MZ")
    return Decision(Gate.SESSION, Verdict.FAIL, Reason.MARKET_CLOSED, f"opens {opens}")


def working_for_entry(desk: Desk, book: RiskBook, symbol: str) -> Decision:
    """Fail while any order on the symbol may still fill, or if the venue omits one of our orders."""
    if symbol in desk.omitted_orders:
        return Decision(Gate.WORKING, Verdict.FAIL, Reason.ORDER_LEFT_OUT)
    return answer(Gate.WORKING, symbol not in book.working, Reason.ORDER_WORKING)


def clocks_agree(ahead_s: float | None, limits: Limits) -> Decision:
    """Check that the venue's clock and a second clock don't differ too much; pass if there is no second clock.

    Either clock may be wrong, so nothing that depends on the time is decided while they differ.
    """
    limit = limits.max_clock_disagreement_s
    return answer(Gate.SESSION, ahead_s is None or abs(ahead_s) <= limit, Reason.CLOCKS_DISAGREE, ahead_s, limit)


def working_for_exit(book: RiskBook, strategy: str, symbol: str, side: Side) -> Decision:
    """Fail while one of our orders blocks closing a strategy's position with an order on this side.

    If the same strategy has an order, the same shares could be closed twice. If another strategy has one on the
    opposite side, it would trade with the new order, which venues refuse. Another strategy's order on the same side
    doesn't block the close.
    """
    own = (order for order in book.own_orders if order.symbol == symbol)
    blocked = any(order.strategy in (strategy, "") or order.side is not side for order in own)
    return answer(Gate.WORKING, not blocked, Reason.ORDER_WORKING)


def unresolved_for_exit(books: Books, strategy: str, symbol: str) -> Decision:
    """Fail while an earlier order of this strategy on the symbol is unresolved.

    If a request to protect the position got no reply, it doesn't count: the venue accepts the exit, or refuses one of
    the two orders.
    """
    keys = (record.intent.key for record in books.unresolved_intents if not record.intent.protects)
    lost = any((key.strategy, key.symbol) == (strategy, symbol) for key in keys)
    return answer(Gate.UNRESOLVED, not lost, Reason.INTENT_UNRESOLVED)


def candidate_fresh(candidate: Candidate, now: datetime, limits: Limits) -> Decision:
    """Refuse a candidate if too much time passed between its proposal and the reading of prices and positions."""
    age, limit = (now - candidate.at).total_seconds(), limits.max_candidate_age_s
    in_time = -limits.max_clock_skew_s <= age <= limit
    return answer(Gate.CANDIDATE_FRESH, in_time, Reason.CANDIDATE_EXPIRED, age, limit, age)


def check_unresolved(book: RiskBook, symbol: str) -> Decision:
    """Fail while an earlier order on the symbol is unresolved."""
    return answer(Gate.UNRESOLVED, symbol not in book.unresolved, Reason.INTENT_UNRESOLVED)


def position_of(desk: Desk, holding: HoldingKey) -> Position | None:
    return next((position for position in desk.positions if position.holding == holding), None)


def fail_without_quote(gate: Gate, why: str | None) -> Decision:
    """Return UNKNOWN for a gate that can't decide without a quote; `why` is the venue's explanation, if any."""
    if why == SUSPENDED:
        return Decision(gate, Verdict.UNKNOWN, Reason.TRADING_SUSPENDED)
    return Decision(gate, Verdict.UNKNOWN, Reason.QUOTE_MISSING, why)


def closable_quantity(desk: Desk, symbol: str, quantity: Decimal) -> Decimal:
    """Return how much of a signed quantity could be closed, unsigned: what the broker has on the same side.

    Some shares in the books may have been sold outside the bot. Closing them would open a position on the other side.
    """
    held_quantity = desk.net.get(symbol, Decimal(0))
    return min(abs(held_quantity), abs(quantity)) if (held_quantity > 0) == (quantity > 0) else Decimal(0)


def broker_contradicts(desk: Desk, symbol: str) -> bool:
    """Return True if the broker, queried directly, shows no position in a symbol where we have one, or one on the other
    side.
    """
    return symbol in desk.unproven or desk.position_ratios.get(symbol, Decimal(1)) < 0


def check_still_held(desk: Desk, symbol: str, quantity: Decimal, *, as_booked: bool = False) -> Decision:
    """Fail if the broker has nothing to close on the side of this signed quantity, or didn't confirm the position.

    With `as_booked`, a position that the fills prove needn't be confirmed, because the order can only reduce a
    position.
    """
    if broker_contradicts(desk, symbol):
        if as_booked:
            return Decision(Gate.POSITIONED, Verdict.PASS, None, 0, abs(quantity))
        return Decision(Gate.POSITIONED, Verdict.UNKNOWN, Reason.POSITION_UNPROVEN, 0, abs(quantity))
    held_quantity = closable_quantity(desk, symbol, quantity)
    return answer(Gate.POSITIONED, held_quantity > 0, Reason.POSITION_GONE, held_quantity, abs(quantity))


def _word(is_open: bool) -> str:
    return "open" if is_open else "closed"


def flow_contract(facts: SymbolFacts, core: Drift | None, limit: Decimal) -> Decision:
    """Fail if more than `limit` of the rows differ from the source's documentation, or aren't about the symbol.

    `core` is the most harmful drift in the current replies with the core signals that the strategy reads.
    """
    if core is not None and core.share > limit:
        return Decision(Gate.FLOW_CONTRACT, Verdict.FAIL, Reason.CORE_CONTRACT_BROKEN, str(core), limit)
    if not facts.received:
        return Decision(Gate.FLOW_CONTRACT, Verdict.PASS, None, 0, limit)
    share = Decimal(facts.foreign + facts.rejected) / facts.received
    return answer(Gate.FLOW_CONTRACT, share <= limit, Reason.FLOW_CONTRACT_FAILED, share, limit)
