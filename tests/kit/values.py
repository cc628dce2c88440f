"""Values for the tests of the core: a builder gives something ordinary, a test changes what it is about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

from tradebot.adapters.text.activity_types import meaning_if_any
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.app.settings import load
from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.rules import account_rules
from tradebot.gates.ask import AccountAsk, Ask
from tradebot.gates.sizing import Size, entry_size
from tradebot.model.account import Account, CashMovement
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.books import AccountState, Books
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.desk import Desk, RiskBook
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Instrument, Listing, MarginLevel, Right
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.limits import ExitRules, Limits, Protection, StrategyRules
from tradebot.model.margin import Margin, PositionReach
from tradebot.model.order import Fee, Fill, OrderType, TimeInForce
from tradebot.model.position import EntryTerms, Lot, Origin, OwnedFill, Position
from tradebot.model.record import Job, SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trade import Trade
from tradebot.model.trading import Permission, ReconcileMark, TradingState, TradingStateRecord
from tradebot.ports.stores import Ledger
from tradebot.signals.scoring import ScoringInputs
from tradebot.signals.subjects.dark_pool import DarkPoolPrint
from tradebot.timetable.entries import TimetableEntry
from tradebot.timetable.entries import parse as parse_line
from tradebot.timetable.job_times import JobTimes, whole_day
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.alpaca.parsers import listings

# Hypothesis strategies for the words: finite money, aware UTC times, finite scores.

MONEY = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001

st.register_type_strategy(Decimal, MONEY)
st.register_type_strategy(datetime, TIMES)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))

INTENTS = st.from_type(Intent)
OWNED_FILLS = st.from_type(OwnedFill)


# Shares as Alpaca lists them. It imports little: processes that tests start need no settings to make an order.

READ_AT = datetime(2026, 11, 16, 14, tzinfo=UTC)


@cache
def listed(symbol: str) -> Listing:
    """Return the listing of a share by any name."""
    usual = listings(("AAPL",), READ_AT)["AAPL"]
    return replace(usual, instrument=replace(usual.instrument, symbol=symbol))


def share(symbol: str = "AAPL") -> Instrument:
    return listed(symbol).instrument


T = TypeVar("T")
ACCOUNT = "TEST00001"
DAY = date(2026, 11, 16)
SESSION = Session(DAY, datetime(2026, 11, 16, 14, 30, tzinfo=UTC), datetime(2026, 11, 16, 21, 0, tzinfo=UTC))
NOW = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
CASH = Decimal(100_000)
VENUE_DAY = ALPACA.day
USUAL = whole_day(VENUE_DAY)
"""A session of the usual length."""

SHIPPED = load(None, {}).settings
FACTS_KEPT = timedelta(days=SHIPPED.storage.facts_days)
DECISIONS_KEPT = timedelta(days=SHIPPED.storage.decisions_days)
LIMITS = SHIPPED.limits_of("flow").model_copy(update={"max_open_positions": 5, "min_score": 0.25})
"""The shipped limits of flow. Two of them differ, so that a test which reads the shipped values by mistake fails."""
OPTIONS: dict[str, object] = {
    "max_theme_fraction": Decimal("0.30"),
    "max_net_fraction": Decimal("0.50"),
    "max_beta_fraction": Decimal("0.55"),
    "max_concentration": Decimal("0.05"),
    "max_risk_fraction": Decimal("0.01"),
    "max_stop_loss_usd": Decimal(2000),
    "max_decision_ms": 1000,
    "max_sending_ms": 5000,
    "max_contracts": 1000,
    "max_order_contracts": 500,
    "max_open_risk_fraction": Decimal("0.03"),
    "max_slippage_fraction": Decimal("0.003"),
    "max_basis_fraction": Decimal("0.0075"),
    "max_minute_move_fraction": Decimal("0.05"),
    "max_minute_range_fraction": Decimal("0.04"),
    "max_basis_shock_fraction": Decimal("0.015"),
    "max_shocked_symbols": 3,
    "shock_wait_s": 1800,
    "max_cost_fraction": Decimal("0.0025"),
    "max_cost_of_stop_fraction": Decimal("0.15"),
    "max_funding_fraction": Decimal("0.0015"),
    "min_reward_ratio": Decimal(2),
    "min_edge_ratio": Decimal(6),
    "max_drawdown_fraction": Decimal("0.05"),
    "min_equity_usd": Decimal(80_000),
    "max_loss_streak": 4,
    "loss_streak_wait_s": 7200,
    "loss_cooldown_s": 3600,
    "wash_sale_days": 30,
    "max_margin_fraction": Decimal("0.90"),
    "min_free_margin_fraction": Decimal("0.15"),
    "min_liquidation_fraction": Decimal("0.35"),
}
"""A value for each limit that is off unless it is set."""
HALTS = SHIPPED.halts
EXITS = SHIPPED.exits.model_copy(update={"protection": Protection.BOT})
"""The bot watches prices itself, so that each order of a test is one that the test is about."""
LISTED = account_rules(EXITS)
"""The shipped exit rules as the list that watches positions."""
THEMES = {"AAPL": "phones", "MSFT": "cloud", "JPM": None, "XOM": None}
BETAS = {"AAPL": Decimal("1.2"), "MSFT": Decimal("0.9"), "JPM": Decimal("1.1"), "XOM": Decimal("-0.4")}
SECTORS = {"AAPL": "technology", "MSFT": "technology", "JPM": "financial", "XOM": "energy"}


class Killed(BaseException):
    """The process is no more: nothing catches this but the test that raised it."""


def us_sessions(first: date, last: date) -> Sequence[Session]:
    """Return the sessions of US shares between two dates, inclusive."""
    return exchange_sessions(first, last, ALPACA.calendar)


def there(value: T | None) -> T:
    assert value is not None
    return value


def following(session: Session) -> Session:
    """Return the session of the next day, at the same hours."""
    day = timedelta(days=1)
    return Session(session.date + day, session.open + day, session.close + day)


def limits(**changes: object) -> Limits:
    return Limits.model_validate({**LIMITS.model_dump(), **changes})


def exit_rules(**changes: object) -> ExitRules:
    return ExitRules.model_validate({**EXITS.model_dump(), **changes})


def held(quantity: str = "10", price: str = "100", best: str | None = None, *, age_s: float = 600) -> WatchedPosition:
    """Return a position of flow in AAPL; its best price is the entry price unless given."""
    since = ago(age_s)
    position = Position("flow", "AAPL", (Lot(Decimal(quantity), Decimal(price), since),), Decimal(0), since)
    return WatchedPosition(position, Decimal(best or price), EntryTerms(instrument=instrument()))


def trade(
    side: Side = Side.BUY,
    *,
    symbol: str = "AAPL",
    quantity: str = "10",
    entry: str = "100",
    opened_at: datetime = NOW - timedelta(minutes=10),
    closed_at: datetime | None = NOW,
    reasons: tuple[str, ...] = (),
) -> Trade:
    """Return a trade of flow that was closed at 101 USD."""
    shares = Decimal(quantity), Decimal(quantity)
    prices = Decimal(entry), Decimal(101), Decimal(10)
    return Trade("flow", symbol, side, opened_at, closed_at, *shares, *prices, (), reasons, None, (), None, None)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def quote(symbol: str = "AAPL", bid: str = "99.98", ask: str = "100.00", *, at: datetime = NOW) -> Quote:
    close = (Decimal(bid) + Decimal(ask)) / 2
    return Quote(symbol, at, Decimal(bid), Decimal(ask), Decimal(ask), close, "sandbox")


def listing(symbol: str = "AAPL", **changes: object) -> Listing:
    """Return how Alpaca lists a share, read an hour ago; `changes` are of the listing or of its instrument."""
    usual = listed(symbol)
    if not changes:
        return usual
    own = {name: value for name, value in changes.items() if name in Listing.__struct_fields__}
    of = {name: value for name, value in changes.items() if name not in own}
    return replace(usual, instrument=replace(usual.instrument, **of), **own)  # type: ignore[arg-type]


def instrument(symbol: str = "AAPL", **changes: object) -> Instrument:
    return listing(symbol, **changes).instrument


def candidate(symbol: str = "AAPL", side: Side = Side.BUY, *, score: float | None = 0.5) -> Candidate:
    signed = score if score is None or side is Side.BUY else -score
    return Candidate("flow", instrument(symbol), side, Purpose.OPEN, NOW, signed, 0.9, reads_flow=True)


def new_intent(key: IntentKey, of: Instrument, **changes: Any) -> Intent:
    """Return a new limit order for the day, promised under a key."""
    usual = Intent(
        key, key.client_order_id(), Operation.SUBMIT, key.role, of, key.side, Decimal(10), OrderType.LIMIT, None,
        TimeInForce.DAY, "c1", NOW,
    )  # fmt: skip
    return replace(usual, **changes)


def book(**changes: object) -> RiskBook:
    empty = RiskBook(
        equity=CASH,
        buying_power=CASH,
        day_loss=Decimal(0),
        exposure={},
        sector_exposure={},
        held=frozenset(),
        foreign=frozenset(),
        working=frozenset(),
        own_orders=(),
        unresolved=frozenset(),
        last_fill_at={},
        gross=Decimal(0),
    )
    return replace(empty, **changes)  # type: ignore[arg-type]


LEVELS = (
    MarginLevel(Decimal(0), Decimal("0.10"), Decimal("0.05")),
    MarginLevel(Decimal(2000), Decimal("0.20"), Decimal("0.10")),
)
"""Ten times as much as one's own, and five times from 2,000 units on."""


def leveled(symbol: str = "AAPL", levels: tuple[MarginLevel, ...] = LEVELS, multiplier: str = "1") -> Listing:
    """Return a listing with levels of margin."""
    return listing(symbol, margin_levels=levels, multiplier=Decimal(multiplier))


def margin(positions: Mapping[str, str] | None = None, *, equity: Decimal = CASH, **changes: object) -> Margin:
    """Return the margin of an account that holds these signed quantities at a mark of 100, as its venue tells it."""
    reaches = {
        (symbol, Side.BUY if Decimal(quantity) > 0 else Side.SELL): PositionReach(
            abs(Decimal(quantity)), abs(Decimal(quantity)) * 100
        )
        for symbol, quantity in (positions or {}).items()
    }
    symbols = ("AAPL", "MSFT", "JPM", "XOM")
    listings, marks = {symbol: leveled(symbol) for symbol in symbols}, dict.fromkeys(symbols, Decimal(100))
    zero = Decimal(0)
    of = Margin(zero, zero, equity, listings, marks, reaches, reaches)
    told = replace(of, initial=of.initial_usd, maintenance=of.maintenance_usd, available=equity - of.initial_usd)
    return replace(told, **changes)  # type: ignore[arg-type]


def margined(positions: Mapping[str, str] | None = None, *, equity: Decimal = CASH, **changes: object) -> RiskBook:
    """Return the book of such an account."""
    of = margin(positions, equity=equity)
    usual = book(equity=equity, margin=of, buying_power=of.available, held=frozenset(positions or {}))
    return replace(usual, **changes)  # type: ignore[arg-type]


def venue_clock(now: datetime = NOW, *, is_open: bool = True) -> VenueClock:
    return VenueClock(now, is_open, SESSION.open + timedelta(days=1), SESSION.close)


def account(**changes: object) -> Account:
    usual = Account(ACCOUNT, "ACTIVE", CASH, CASH, CASH, CASH, ())
    return replace(usual, **changes)  # type: ignore[arg-type]


def books(*fills: OwnedFill, **changes: object) -> Books:
    usual = Books(
        at=NOW,
        account_number=ACCOUNT,
        standing=AccountState(ago(86_400), CASH, Decimal(0), ReconcileMark(ago(60), 0, 0), None),
        state=TradingStateRecord(TradingState.ACTIVE, "init", "armed", ago(3600)),
        day=VENUE_DAY,
        totals=Totals.of(fills),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def best_price(ledger: Ledger, strategy: str, symbol: str, opened_at: datetime) -> Decimal | None:
    held = (strategy, symbol, opened_at)
    return ledger.entry_terms([held]).get(held, EntryTerms()).best


def desk(facts: Mapping[str, SymbolFacts] | None = None, **changes: object) -> Desk:
    usual = Desk(
        now=NOW,
        clock=venue_clock(),
        calendar=ALPACA.calendar,
        session=SESSION,
        account=account(),
        permission=Permission(),
        state=TradingStateRecord(TradingState.ACTIVE, "init", "armed", ago(3600)),
        reconcile=ReconcileMark(ago(60), 0, 0),
        book=book(),
        books=books(),
        positions=(),
        net={},
        orders=(),
        quotes={},
        sectors=SECTORS,
        facts=facts if facts is not None else {"AAPL": fetched_facts("AAPL")},
        listings={symbol: listing(symbol) for symbol in {**SECTORS, **(facts or {})}},
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def ask(stop: Decimal | None = None, **changes: object) -> Ask:
    """Return an Ask that passes every gate; the size follows from the quote, book and limits given.

    The strategy's `own` limits are the account's, and its allotment is the whole of it, unless a test says otherwise.
    A `stop` is a fraction of the entry price.
    """
    judged = {name: changes.pop(name) for name in ("desk", "book", "limits", "halts") if name in changes}
    account = replace(AccountAsk(desk(), book(), LIMITS, HALTS), **judged)  # type: ignore[arg-type]
    wanted = changes.pop("candidate", candidate())
    own = changes.pop("own", StrategyRules((), account.limits))
    asked = account.of(wanted.strategy, own)  # type: ignore[attr-defined, arg-type]
    changed = replace(Ask(asked, wanted, quote(), None, is_recorded=False), **changes)  # type: ignore[arg-type]
    if changed.quote is None or "size" in changes:
        return changed
    known = changed.desk.listing_for(changed.candidate.instrument)
    fit, reserve = own.execution.fit_to_room, ALPACA.short_reserve  # type: ignore[attr-defined]
    given = (changed.candidate, known, changed.quote, asked.book, asked.limits, reserve, stop)
    return replace(changed, size=entry_size(*given, fit_to_room=fit))


def size_of(candidate: Candidate, quote: Quote, book: RiskBook, limits: Limits, stop: Decimal | None = None) -> Size:
    """Return the size of an entry at Alpaca."""
    return entry_size(candidate, listing(candidate.symbol), quote, book, limits, ALPACA.short_reserve, stop)


def fetched_facts(symbol: str, **changes: object) -> SymbolFacts:
    usual = SymbolFacts(symbol, alerts_fetched_at=ago(60), received=10)
    return replace(usual, **changes)  # type: ignore[arg-type]


def known(
    facts: SymbolFacts | None = None, market: Mapping[str, object] | None = None, *, flow: float | None = 1.0
) -> ScoringInputs:
    """Return what a component sees of AAPL, with a lookback of half an hour; by default, its flow is bullish."""
    lookback, facts = timedelta(minutes=30), facts or SymbolFacts("AAPL")
    return ScoringInputs(NOW, lookback, market or {}, facts, scale_usd=1_500_000.0, flow=flow)


def known_of(kind: AnyKind, value: object, *, flow: float | None = 1.0) -> ScoringInputs:
    """Return what a component sees if this is all that is known, of AAPL or of the market."""
    of_kind = {kind.name: value}
    return known(market=of_kind, flow=flow) if kind.market_wide else known(SymbolFacts("AAPL", of_kind), flow=flow)


def alert(number: int = 1, right: Right = Right.CALL, /, **changes: object) -> FlowAlert:
    usual = FlowAlert(
        id=f"alert-{number}",
        symbol="AAPL",
        at=ago(60 * number),
        right=right,
        strike=Decimal(100),
        expiry=DAY + timedelta(days=10),
        premium=Decimal(400_000),
        ask_premium=Decimal(400_000),
        bid_premium=Decimal(0),
        volume=1000,
        open_interest=500,
        has_sweep=False,
        has_floor=False,
        has_multileg=False,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def dark_print(price: str = "100.02", **changes: object) -> DarkPoolPrint:
    usual = DarkPoolPrint(
        id="print-1",
        symbol="AAPL",
        at=ago(60),
        price=Decimal(price),
        size=1000,
        premium=Decimal(price) * 1000,
        bid=Decimal("99.98"),
        ask=Decimal("100.02"),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def fill(
    number: int,
    symbol: str = "AAPL",
    side: Side = Side.BUY,
    quantity: str = "10",
    price: str = "100",
    *,
    strategy: str = "flow",
    at: datetime | None = None,
    multiplier: str = "1",
    fee: Fee | None = None,
) -> OwnedFill:
    when, names = at if at is not None else NOW + timedelta(seconds=number), (f"fill-{number}", f"venue-{number}")
    numbers = Decimal(quantity), Decimal(price)
    return OwnedFill(strategy, Fill(*names, symbol, side, *numbers, when, Decimal(multiplier), fee))


def cash_movement(
    at: datetime,
    usd: Decimal,
    kind: str,
    origin: Origin,
    about: str,
    words: str = "",
    symbol: str = "",
    sub_kind: str = "",
) -> CashMovement:
    """Return a movement of cash as books say it that have these words."""
    return CashMovement(at, usd, kind, origin, about, words, symbol, sub_kind, meaning_if_any(kind, sub_kind))


def lines_of(timetable: Mapping[Job, JobTimes]) -> tuple[TimetableEntry, ...]:
    return tuple(filter(None, (parse_line(job.value, str(times), VENUE_DAY) for job, times in timetable.items())))
