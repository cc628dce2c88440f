"""Convert Alpaca's JSON to our types: ignore unknown fields, but check every field that money depends on.

Each parser takes decoded JSON and raises RowError naming a field that can't be used. Unknown fields and enum values are
counted in the tally and otherwise ignored.

Prices have at most two decimals from 1 USD up, and four below. The bot trades whole shares only. Listings need no
request: any text that looks like the symbol of a US share counts as listed; option contracts and crypto pairs don't.
The reply to a write proves that the venue accepted it or rejected it, or it proves nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial

from tradebot.adapters.text.activity_types import meaning_of
from tradebot.adapters.wire.http import BodyError, HttpReply, printable
from tradebot.adapters.wire.json_fields import LONGEST_SYMBOL, DriftTally, JsonFields, RowError, keep_readable
from tradebot.errors import OperatorError
from tradebot.model.account import Account, Activity, BrokerPosition
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE, AssetClass, Instrument, Listing, TickStep
from tradebot.model.intent import ID_CONFLICT, Intent, Operation
from tradebot.model.order import Fill, Order, OrderClass, OrderStatus, OrderType, Reply, TimeInForce, WriteOutcome
from tradebot.model.venue import End, Proof
from tradebot.venues.alpaca.capabilities import ALPACA

STATUSES: Mapping[str, OrderStatus] = {
    "pending_new": OrderStatus.PENDING_NEW,
    "new": OrderStatus.NEW,
    "accepted": OrderStatus.ACCEPTED,
    "held": OrderStatus.HELD,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "pending_cancel": OrderStatus.PENDING_CANCEL,
    "pending_replace": OrderStatus.PENDING_REPLACE,
    "stopped": OrderStatus.STOPPED,
    "suspended": OrderStatus.SUSPENDED,
    "calculated": OrderStatus.CALCULATED,
    "done_for_day": OrderStatus.DONE_FOR_DAY,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
    "replaced": OrderStatus.REPLACED,
}

"""Alpaca's order states."""

OPTION_MULTIPLIER = Decimal(100)

"""Shares per standard US option contract."""

_OPTION = re.compile(r"[A-Z0-9.]+\d{6}[CP]\d{8}")

_BLOCKS = ("trading_blocked", "account_blocked", "trade_suspended_by_user")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ACCOUNT_FIELDS = _names(
    """account_blocked account_number accrued_fees admin_configurations balance_asof buying_power cash
    created_at crypto_status crypto_tier currency effective_buying_power equity id initial_margin
    intraday_adjustments last_equity last_maintenance_margin long_market_value maintenance_margin multiplier
    non_marginable_buying_power options_approved_level options_buying_power options_trading_level
    pending_reg_taf_fees pending_transfer_in pending_transfer_out portfolio_value position_market_value
    regt_buying_power short_market_value shorting_enabled sma status trade_suspended_by_user trading_blocked
    transfers_blocked user_configurations"""
)

_ORDER_FIELDS = _names(
    """asset_class asset_id canceled_at client_order_id created_at expired_at expires_at extended_hours
    failed_at filled_at filled_avg_price filled_qty hwm id legs limit_price notional order_class order_type
    position_intent qty ratio_qty replaced_at replaced_by replaces side source status stop_price submitted_at
    subtag symbol time_in_force trail_percent trail_price type updated_at"""
)

_POSITION_FIELDS = _names(
    """asset_class asset_id asset_marginable avg_entry_price avg_entry_swap_rate change_today cost_basis
    current_price exchange lastday_price market_value prev_swap_rate qty qty_available side swap_rate symbol
    unrealized_intraday_pl unrealized_intraday_plpc unrealized_pl unrealized_plpc usd"""
)

_FILL_FIELDS = _names(
    """activity_type cum_qty execution_type id leaves_qty order_id order_status price qty side symbol swap_rate
    transaction_time type"""
)

_ACTIVITY_FIELDS = _names(
    """activity_sub_type activity_type created_at currency cusip date description group_id id net_amount
    per_share_amount price qty status symbol"""
)


def read_account(raw: object, tally: DriftTally) -> Account:
    """Return the account in USD; raise OperatorError naming a required field that can't be used."""
    try:
        row = JsonFields("account", raw, tally)
        row.note_unknown(_ACCOUNT_FIELDS)
        return Account(
            number=row.text("account_number"),
            status=row.text("status"),
            cash=row.number("cash"),
            equity=row.number("equity"),
            last_equity=row.number("last_equity"),
            buying_power=row.number("buying_power"),
            # Anything but a plain "not blocked" counts as blocked, unless the venue dropped the flag altogether.
            blocked=tuple(name for name in _BLOCKS if row.value(name) not in (False, None)),
        )
    except RowError as error:
        raise OperatorError(
            f"the broker's account data can't be used: {error}",
            "Look at the account on the broker's website. Nothing is traded until its data is complete again.",
        ) from error


def with_open_legs(raw: object) -> Iterator[tuple[object, str | None]]:
    """Yield an order and its open legs, each with its parent's id; venues may nest legs, list them, or both."""
    yield raw, None
    legs = raw.get("legs") if isinstance(raw, dict) else None
    for leg in legs if isinstance(legs, list) else ():
        status = STATUSES.get(str(leg.get("status"))) if isinstance(leg, dict) else None
        if status is None or not status.terminal:
            yield leg, str(raw.get("id")) if isinstance(raw, dict) else None


def read_legs(raw: object, tally: DriftTally) -> tuple[Order, ...]:
    """Return the legs of an order, including ended ones; unreadable rows are counted and left out."""
    legs = raw.get("legs") if isinstance(raw, dict) else None
    rows = list(legs) if isinstance(legs, list) else []
    parent = JsonFields("order", raw, tally).text("id") if rows else None
    return tuple(keep_readable("order", rows, partial(read_order, tally=tally, parent=parent), tally))


def read_order(raw: object, tally: DriftTally, parent: str | None = None) -> Order:
    """Return one order, as a leg of `parent` if that is given; its quantity is None if it was placed by notional."""
    row = JsonFields("order", raw, tally)
    row.note_unknown(_ORDER_FIELDS)
    order = Order(
        venue_id=row.text("id"),
        client_order_id=row.text("client_order_id"),
        symbol=row.symbol(),
        asset_class=row.enum("asset_class", AssetClass),
        side=_side(row),
        quantity=row.number_or_none("qty"),
        filled_quantity=row.number("filled_qty"),
        filled_average_price=row.number_or_none("filled_avg_price"),
        order_type=row.enum("type" if row.value("type") else "order_type", OrderType),
        limit_price=row.number_or_none("limit_price"),
        time_in_force=row.enum("time_in_force", TimeInForce),
        status=row.translate_word("status", STATUSES, OrderStatus.UNKNOWN),
        submitted_at=row.time_or_none("submitted_at"),
        updated_at=row.time_or_none("updated_at"),
        replaced_by=row.text_or_none("replaced_by"),
        stop_price=row.number_or_none("stop_price"),
        parent=parent,
        order_class=OrderClass(row.text_or_none("order_class") or ""),
    )
    _check_quantities(order)
    return order


def _check_quantities(order: Order) -> None:
    if order.quantity is not None and order.quantity <= 0:
        raise RowError("qty", f"is not above zero: {order.quantity}")
    if order.filled_quantity < 0:
        raise RowError("filled_qty", f"is negative: {order.filled_quantity}")
    if order.quantity is not None and order.filled_quantity > order.quantity:
        raise RowError("filled_qty", f"is more than the order's {order.quantity}: {order.filled_quantity}")


def _side(row: JsonFields) -> Side:
    side = row.text("side")
    if side not in tuple(Side):
        raise RowError("side", f"is neither buy nor sell: {side}")
    return Side(side)


def read_position(raw: object, tally: DriftTally) -> BrokerPosition:
    """Return one position; its quantity is negative if the venue calls it short."""
    row = JsonFields("position", raw, tally)
    row.note_unknown(_POSITION_FIELDS)
    quantity = row.number("qty")
    if quantity < 0 and row.value("side") == "long":
        raise RowError("qty", f"is negative, but the side is long: {quantity}")
    asset_class, free = row.enum("asset_class", AssetClass), row.number_or_none("qty_available")
    return BrokerPosition(
        symbol=row.symbol(),
        asset_class=asset_class,
        quantity=-abs(quantity) if row.value("side") == "short" else quantity,
        average_price=row.number("avg_entry_price"),
        market_value=row.number_or_none("market_value"),
        current_price=row.number_or_none("current_price"),
        multiplier=OPTION_MULTIPLIER if asset_class is AssetClass.US_OPTION else ONE,
        free=None if free is None else abs(free),
    )


def takes_back(raw: object) -> bool:
    """Return True if a row in the list of fills reverses or corrects a trade instead of reporting an execution."""
    kinds = (raw.get("type"), raw.get("execution_type")) if isinstance(raw, dict) else ()
    return any(word in ("trade_bust", "trade_correct") for word in kinds)


def read_fill(raw: object, tally: DriftTally) -> Fill:
    """Return one execution; a short sale counts as a sale."""
    row = JsonFields("fill", raw, tally)
    row.note_unknown(_FILL_FIELDS)
    if row.value("type") not in ("fill", "partial_fill"):
        raise RowError("type", f"is neither fill nor partial_fill: {row.value('type')}")
    # The venue also uses this shape to reverse or correct a trade, which is not an execution.
    if row.value("execution_type") not in (None, "", "fill"):
        raise RowError("execution_type", f"is not a fill: {row.value('execution_type')}")
    symbol = row.symbol()
    return Fill(
        activity_id=row.text("id"),
        venue_order_id=row.text("order_id"),
        symbol=symbol,
        side=Side.SELL if row.value("side") == "sell_short" else _side(row),
        quantity=row.positive("qty"),
        price=row.positive("price"),
        at=row.time("transaction_time"),
        # A fill doesn't say what kind of instrument it is in, but an option contract is known by its symbol.
        multiplier=OPTION_MULTIPLIER if _OPTION.fullmatch(symbol) else ONE,
    )


def read_activity(raw: object, tally: DriftTally) -> Activity:
    """Return an activity that is not an execution; if it has no time, it is dated midnight in New York on its day."""
    row = JsonFields("activity", raw, tally)
    row.note_unknown(_ACTIVITY_FIELDS)
    kind, sub_kind = row.text("activity_type"), row.text_or_none("activity_sub_type") or ""
    return Activity(
        id=row.text("id"),
        kind=kind,
        sub_kind=sub_kind,
        symbol=row.text_or_none("symbol", LONGEST_SYMBOL),
        quantity=row.number_or_none("qty"),
        price=row.number_or_none("price"),
        net_amount=row.number_or_none("net_amount") or Decimal(0),
        at=row.time_or_none("created_at") or _midnight(row),
        meaning=meaning_of(kind, sub_kind),
        executed=row.value("status") in (None, "", "executed"),
    )


def _midnight(row: JsonFields) -> datetime:
    try:
        return ALPACA.day.begins(date.fromisoformat(row.text("date")[:10]))
    except (ValueError, OverflowError) as error:
        raise error if isinstance(error, RowError) else RowError("date", "is unreadable") from error


def read_clock(raw: object, tally: DriftTally) -> VenueClock:
    """Return the venue's time and its current session."""
    row = JsonFields("clock", raw, tally)
    is_open = row.value("is_open")
    if not isinstance(is_open, bool):
        raise RowError("is_open", "is neither true nor false")
    return VenueClock(row.time("timestamp"), is_open, row.time("next_open"), row.time("next_close"))


def read_session(raw: object, tally: DriftTally) -> Session:
    """Return one day of the calendar; the venue states its hours in New York time."""
    row = JsonFields("calendar", raw, tally)
    try:
        day = date.fromisoformat(row.text("date"))
        hours = [time.fromisoformat(row.text(name)) for name in ("open", "close")]
        opens, closes = (ALPACA.day.at(day, hour) for hour in hours)
    except (ValueError, OverflowError) as error:
        raise error if isinstance(error, RowError) else RowError("date", "or hours are unreadable") from error
    if opens >= closes:
        raise RowError("close", "is not after the open")
    return Session(day, opens, closes)


def read_quote(symbol: str, raw: object, feed: str, tally: DriftTally) -> Quote:
    """Return the quote from a snapshot, with prices in USD.

    Raises RowError if the bid, ask or last trade is missing, not above zero, or crossed. Without a previous close,
    `previous_close` is None and the quote is still usable. A quote without sizes is usable too.
    """
    snapshot = JsonFields("snapshot", raw, tally)
    quote = JsonFields("latestQuote", snapshot.value("latestQuote"), tally)
    trade = JsonFields("latestTrade", snapshot.value("latestTrade"), tally)
    bid, ask = quote.positive("bp"), quote.positive("ap")
    if bid > ask:
        raise RowError("bp", f"is above the ask: {bid} > {ask}")
    previous = _previous_close(symbol, snapshot.value("prevDailyBar"), tally)
    at, last_at = quote.time("t"), _trade_time(trade, tally)
    bid_size, ask_size = _size(quote, "bs", tally), _size(quote, "as", tally)
    last = trade.positive("p")
    return Quote(symbol, at, bid, ask, last, previous, feed, bid_size, ask_size, last_at=last_at)


def _trade_time(trade: JsonFields, tally: DriftTally) -> datetime | None:
    try:
        return trade.time_or_none("t")
    except RowError as error:
        tally.note("latestTrade", "t", f"is ignored: {error.problem}")
        return None


def _size(quote: JsonFields, name: str, tally: DriftTally) -> Decimal | None:
    """Return a size in shares; None if it is missing or not above zero."""
    try:
        size = quote.number_or_none(name)
    except RowError as error:
        tally.note("latestQuote", name, f"is ignored: {error.problem}")
        return None
    return size if size is not None and size > 0 else None


def _previous_close(symbol: str, raw: object, tally: DriftTally) -> Decimal | None:
    if raw is None:
        return None
    try:
        return JsonFields("prevDailyBar", raw, tally).positive("c")
    except RowError as error:
        tally.note("snapshot", "prevDailyBar", f"of {symbol} is ignored: {error}")
        return None


_SHARE = re.compile(r"[A-Z][A-Z0-9]{0,4}(\.[A-Z]{1,4}){0,2}", re.ASCII)

"""A root of up to five letters, and a suffix for share classes, preferred shares, warrants and units."""

_CENT, _ONE = Decimal("0.01"), Decimal(1)

_TICKS = (TickStep(Decimal(0), Decimal("0.0001")), TickStep(_ONE, _CENT))


def listings(symbols: Iterable[str], at: datetime) -> Mapping[str, Listing]:
    """Return the listing of each symbol that looks like a US share's symbol, as of `at`."""
    return {symbol: _listing(symbol, at) for symbol in symbols if _SHARE.fullmatch(symbol)}


def _listing(symbol: str, at: datetime) -> Listing:
    share = Instrument(
        symbol=symbol,
        asset_class=AssetClass.US_EQUITY,
        multiplier=_ONE,
        tick=_CENT,
        lot=_ONE,
        currency="USD",
        calendar="XNYS",
    )
    return Listing(share, _TICKS, share.lot, at)


ARRIVES_WITHIN = timedelta(hours=4)

"""How long after the close a request or the report of an order's end may still arrive.

Requests take seconds and reports take minutes. A longer wait costs nothing, because nothing trades by then.
"""


def end_of(order: Callable[[str], Order | None], intent: Intent, sessions: Iterable[Session], now: datetime) -> Proof:
    """Determine what became of a request, looking up its order by id with `order`."""
    ended = None if intent.operation is Operation.CANCEL else order(intent.client_order_id)
    return _never_arrived(intent.at, sessions, now) if ended is None else Proof.of(ended)


def _never_arrived(sent_at: datetime, sessions: Iterable[Session], now: datetime) -> Proof:
    """Determine whether a request that Alpaca doesn't know can still arrive. Alpaca never accepts an order's id twice.

    The request was for the session in which it was sent, or for the next one if it was sent between sessions.
    """
    session = _first_after(sent_at, sessions)
    if session is None:
        return Proof(End.UNKNOWN, f"Alpaca doesn't know it, and no session after {_time_text(sent_at)} is stored")
    until = session.close + ARRIVES_WITHIN
    if now < until:
        return Proof(End.UNKNOWN, f"Alpaca doesn't know it, but it may arrive until {_time_text(until)}")
    hours = ARRIVES_WITHIN.total_seconds() / 3600
    late = f"a request sent at {_time_text(sent_at)} can't arrive any more at {_time_text(now)}"
    why = f"Alpaca doesn't know it, and {late}: "
    closed = f"the session of {session.date} closed at {_time_text(session.close)}, more than {hours:.0f} hours before"
    return Proof(End.OVER, why + closed)


def has_outlived(order: Order, sessions: Iterable[Session], now: datetime) -> str:
    """Return the evidence that a DAY order's only session is over and reported; empty if the order may still fill."""
    sent_at = order.submitted_at
    if order.time_in_force is not TimeInForce.DAY or sent_at is None or now - sent_at < ARRIVES_WITHIN:
        return ""
    session = _first_after(sent_at, sessions)
    if session is None or now < session.close + ARRIVES_WITHIN:
        return ""
    return f"it is for one day, and the session of {session.date} closed at {_time_text(session.close)}"


def _first_after(moment: datetime, sessions: Iterable[Session]) -> Session | None:
    """Return the first session that ends after `moment`."""
    return min(
        (session for session in sessions if session.close > moment), key=lambda session: session.close, default=None
    )


def _time_text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


UNAUTHORIZED = "unauthorized"

_CODE = re.compile(r"[0-9]{8}", re.ASCII)

_REFUSING = frozenset({400, 403, 404, 422})

_MAY_BE_DUPLICATE = frozenset({"40010001", "42210000"})


def unknown_outcome(code: str, message: str) -> Reply:
    """Return the outcome of a reply that proves nothing: the request may have arrived."""
    return Reply(WriteOutcome.UNKNOWN, code=code, message=message)


def submit_reply(answer: HttpReply, intent: Intent, tally: DriftTally) -> Reply:
    """Return what the reply to a new or repriced order proves; only a 2xx with the requested order means acceptance."""
    if not 200 <= answer.status < 300:
        return refusal(answer) or unknown_outcome(f"http_{answer.status}", answer.excerpt)
    try:
        body = answer.json()
        order, legs = read_order(body, tally), read_legs(body, tally)
    except (BodyError, RowError) as error:
        return unknown_outcome("unreadable", str(error))
    if not intent.matches_order(order):
        return unknown_outcome("mismatch", f"the broker returned another order: {order.client_order_id}")
    return Reply(WriteOutcome.ACCEPTED, order, legs=legs)


def refusal(answer: HttpReply) -> Reply | None:
    """Return a rejection if the broker's error body proves one; None otherwise."""
    body = _error_body(answer)
    message = printable(str(body.get("message", "")))
    if answer.status == 401 and message:
        return Reply(WriteOutcome.REJECTED, code=UNAUTHORIZED, message=message)
    code = error_code(answer)
    if answer.status not in _REFUSING or code is None:
        return None
    return Reply(WriteOutcome.REJECTED, code=code, message=message)


def error_code(answer: HttpReply) -> str | None:
    """Return the venue's eight-digit error code; None if the answer has none."""
    code = str(_error_body(answer).get("code", ""))
    return code if _CODE.fullmatch(code) else None


def _error_body(answer: HttpReply) -> Mapping[str, object]:
    try:
        body = answer.json()
    except BodyError:
        return {}
    return body if isinstance(body, dict) else {}


def may_be_duplicate(answer: HttpReply) -> bool:
    """Return True if a refusal may mean that the id is already in use; other refusals have the same status and
    codes.
    """
    return answer.status == 422 and error_code(answer) in _MAY_BE_DUPLICATE


def says_duplicate(refusal_reply: Reply) -> bool:
    """Return True if the venue's message suggests that the id is in use."""
    return "unique" in (refusal_reply.message or "")


def resolve_duplicate(order: Order | None, intent: Intent, refusal_reply: Reply) -> Reply:
    """Decide what a refusal for a possibly duplicate id proves, given the order that a lookup by that id returned.

    If the order is the requested one, it was accepted earlier. If it differs, someone else used our id. If there is
    none, the refusal stands, unless the venue said that the id is in use: then the two replies contradict each other
    and prove nothing.
    """
    if order is None:
        return (
            unknown_outcome("duplicate_not_found", refusal_reply.message or "")
            if says_duplicate(refusal_reply)
            else refusal_reply
        )
    if intent.matches_order(order):
        return Reply(WriteOutcome.ACCEPTED, order)
    return Reply(WriteOutcome.REJECTED, order, ID_CONFLICT, "another order has this client order id")
