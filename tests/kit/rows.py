"""Sample words for the tests of the stores: an intent, an order, a fill, facts of flow, a pass."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tests.kit.values import new_intent, share
from tradebot.model.candidate import Candidate, Component, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.fact_kind import Fact
from tradebot.model.flow import FlowAlert, Intake, RejectedRow
from tradebot.model.instrument import AssetClass, Right
from tradebot.model.intent import Intent, IntentKey
from tradebot.model.order import Fill, Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.position import OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.signals.subjects.dark_pool import DarkPoolPrint
from tradebot.signals.subjects.market import TideTick
from tradebot.signals.subjects.open_interest import GreekExposure, OiChange
from tradebot.signals.subjects.volatility import IvRank

COMPONENTS = ("flow", "dark_pool", "market_tide", "greek_exposure", "iv_rank", "oi_change")
ACCOUNT = "SBX000000042"
NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
DAY = date(2026, 1, 5)


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def make_intent(slot: str = "open+5m", symbol: str = "AAPL", session: date = DAY) -> Intent:
    key = IntentKey(ACCOUNT, "flow", session, slot, symbol, Side.BUY, Purpose.OPEN)
    usual = {"quantity": Decimal(3), "limit_price": Decimal("187.25"), "cycle_id": "cycle-1", "at": NOW}
    return new_intent(key, share(symbol), **usual)


def make_order(venue_id: str = "v1", status: OrderStatus = OrderStatus.NEW, at: datetime = NOW) -> Order:
    return Order(
        venue_id=venue_id,
        client_order_id=f"id-{venue_id}",
        symbol="AAPL",
        asset_class=AssetClass.US_EQUITY,
        side=Side.BUY,
        quantity=Decimal(3),
        filled_quantity=Decimal(3) if status is OrderStatus.FILLED else Decimal(0),
        filled_average_price=Decimal("187.2") if status is OrderStatus.FILLED else None,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("187.25"),
        time_in_force=TimeInForce.DAY,
        status=status,
        submitted_at=NOW,
        updated_at=at,
    )


def make_fill(activity_id: str = "a1", at: datetime = NOW) -> OwnedFill:
    return OwnedFill("flow", Fill(activity_id, "v1", "AAPL", Side.BUY, Decimal(1), Decimal("187.21"), at))


PASSED = Decision(Gate.SCORE, Verdict.PASS, None, 0.42, 0.3)
FAILED = Decision(Gate.BUYING_POWER, Verdict.FAIL, Reason.BUYING_POWER_SHORT, Decimal("10.5"), Decimal(600), 2.5)


def make_alert(identity: str, symbol: str = "AAPL", at: datetime = NOW) -> FlowAlert:
    return FlowAlert(
        identity,
        symbol,
        at,
        Right.CALL,
        Decimal("190.5"),
        date(2026, 1, 16),
        Decimal(50_000),
        Decimal(40_000),
        Decimal(10_000),
        500,
        120,
        True,
        False,
        False,
    )


def make_print(identity: str, symbol: str = "AAPL", at: datetime = NOW) -> DarkPoolPrint:
    price = Decimal("187.23")
    return DarkPoolPrint(identity, symbol, at, price, 100, price * 100, Decimal("187.2"), Decimal("187.25"))


def make_tick(identity: str, at: datetime = NOW, calls: int = 1) -> TideTick:
    return TideTick(identity, at, Decimal(calls), Decimal(-1), 10)


def make_greek(day: date, call: str = "10.5", symbol: str = "AAPL") -> GreekExposure:
    return GreekExposure(f"{symbol}-{day}", symbol, day, Decimal(call), Decimal("-4.25"))


def make_iv(day: date, rank: str = "55", symbol: str = "AAPL") -> IvRank:
    return IvRank(f"{symbol}-{day}", symbol, day, Decimal(rank), Decimal("0.31"))


def make_oi(identity: str, day: date, symbol: str = "AAPL") -> OiChange:
    return OiChange(identity, symbol, day, f"{symbol}260116C00190000", Right.CALL, 250)


def make_intake(
    endpoint: str, *facts: Fact, symbol: str | None = "AAPL", at: datetime = NOW, foreign: int = 0
) -> Intake:
    rejected = (RejectedRow("price", "NaN"),)
    return Intake(endpoint, symbol, at, len(facts) + foreign + 1, facts, foreign, 0, rejected)


def make_cycle(identity: str, at: datetime = NOW, job: Job = Job.TRADE_ONCE, symbols: int = 2) -> CycleRecord:
    candidate = Candidate(
        "flow",
        share("AAPL"),
        Side.BUY,
        Purpose.OPEN,
        NOW,
        0.42,
        0.9,
        tuple(Component(name, 0.1, 1.0, name) for name in COMPONENTS),
        Decimal(3),
        decisions=(PASSED,),
    )
    ways = tuple(
        CandidateRecord(replace(candidate, instrument=share(f"SYM{n}")), (PASSED, FAILED), f"id{n}")
        for n in range(symbols)
    )
    return CycleRecord(
        id=identity,
        job=job,
        session=DAY,
        slot="open+5m",
        at=at,
        mode="sandbox",
        candidates=ways,
        job_decision=FAILED,
    )
