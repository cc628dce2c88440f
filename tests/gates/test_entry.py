"""Every gate, once passing and once refusing with its numbers; and the order in which all are asked."""

import gc
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import (
    CASH,
    LIMITS,
    NOW,
    SESSION,
    account,
    ago,
    ask,
    book,
    candidate,
    desk,
    fetched_facts,
    instrument,
    limits,
    listing,
    quote,
    size_of,
    venue_clock,
)
from tradebot.gates.ask import Ask
from tradebot.gates.evaluation import decide
from tradebot.gates.sizing import Size, entry_size, marketable_limit
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Number, Verdict, first_failure, units_of
from tradebot.model.desk import HaltEvidence, RiskBook, SessionEntry, StrategyExposure
from tradebot.model.limits import Limits, StrategyRules
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.record import PositionDifference, SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, ReconcileMark, RungReached, TradingState, TradingStateRecord
from tradebot.venues.alpaca.capabilities import ALPACA

UNASKED = (
    Gate.JOB, Gate.NEEDS, Gate.STRATEGY, Gate.TARGET, Gate.LIQUIDITY, Gate.DEPTH, Gate.DISPLACEMENT, Gate.APPROVAL,
    Gate.EXIT, Gate.SEND, Gate.INSTRUMENT, Gate.DATA_HEALTH, Gate.REGISTRY, Gate.PROMOTION,
    Gate.EXIT, Gate.SEND, Gate.INSTRUMENT, Gate.ROLL, Gate.EXPIRY, Gate.POSITIONS_HELD, Gate.LARGEST_POSITION,
)  # fmt: skip
OF_MARGIN = (Gate.INITIAL_MARGIN, Gate.FREE_MARGIN, Gate.HELD_MARGIN, Gate.MAINTENANCE_MARGIN, Gate.LIQUIDATION)
"""The gates of limits that are asked only of an account with margin, if they are set."""
OF_OPTIONS = (
    Gate.THEME_NOTIONAL, Gate.NET_NOTIONAL, Gate.BETA_NOTIONAL, Gate.CONCENTRATION, Gate.OWN_THEME_NOTIONAL,
    Gate.OWN_NET_NOTIONAL, Gate.OWN_BETA_NOTIONAL, Gate.OWN_CONCENTRATION, Gate.BASIS, Gate.SHOCK, Gate.COST,
    Gate.COST_OF_STOP, Gate.FUNDING, Gate.REWARD, Gate.EDGE, Gate.RISK, Gate.STOP_LOSS,
    Gate.OPEN_RISK, Gate.OWN_OPEN_RISK, Gate.MAX_DRAWDOWN, Gate.CONTRACTS,
    Gate.EQUITY_FLOOR, Gate.OWN_DAILY_LOSS, Gate.LOSS_STREAK, Gate.OWN_LOSS_STREAK, Gate.LOSS_COOLDOWN, Gate.WASH_SALE,
)  # fmt: skip
"""The gates of limits that are off unless they are set."""
ASKED = [gate for gate in Gate if gate not in (*UNASKED, *OF_OPTIONS, *OF_MARGIN)]
FAIL, UNKNOWN = Verdict.FAIL, Verdict.UNKNOWN
Row = tuple[Gate, Reason, Ask, Verdict, Number | str | None, Number | str | None]


def on_desk(facts: Mapping[str, SymbolFacts] | None = None, **changes: object) -> Ask:
    return ask(desk=desk(facts, **changes))


def on_book(**changes: object) -> Ask:
    return ask(book=book(**changes))


def with_facts(**changes: object) -> Ask:
    return on_desk({"AAPL": fetched_facts("AAPL", **changes)})


def with_state(state: TradingState, *, lost: bool = False) -> Ask:
    return on_desk(state=TradingStateRecord(state, "ada", "lunch", None if lost else ago(9)))


def with_signs(**changes: object) -> Ask:
    return on_desk(halt_evidence=HaltEvidence(**changes))  # type: ignore[arg-type]


def entered(
    age_s: float, symbol: str = "AAPL", side: Side = Side.BUY, *, strategy: str = "flow"
) -> tuple[SessionEntry, ...]:
    return (SessionEntry(strategy, symbol, side, ago(age_s)),)


def staked(
    usd: int, symbol: str = "MSFT", strategy: str = "flow", side: Side = Side.BUY, *, held: bool = True
) -> StrategyExposure:
    return StrategyExposure(strategy, symbol, side, Decimal(usd), held)


def on_own(
    *stakes: StrategyExposure, entries: tuple[SessionEntry, ...] = (), new: tuple[str, ...] = (), **own: object
) -> Ask:
    seen = book(stakes=stakes, entries=entries, new_entries=new)
    return ask(book=seen, own=StrategyRules((), limits(**own), Decimal("0.25")), size=sized(10))


def sized(quantity: int, price: str = "100") -> Size:
    worth = quantity * Decimal(price)
    return Size(Decimal(quantity), Decimal(price), worth, worth)


def closed_at(previous_close: str | None) -> Quote:
    return replace(quote(), previous_close=Decimal(previous_close) if previous_close else None)


def D(text: str) -> Decimal:  # noqa: N802 - a table of figures reads better so
    return Decimal(text)


NOT_ARMED = Permission(((Reason.LIVE_NOT_ARMED, "live"),))
OPENS = "opens 2026-11-17T14:30Z"
CLOSED = venue_clock(is_open=False)
HALF = replace(SESSION, close=SESSION.close - timedelta(hours=3))
TORN = PositionDifference("X", Decimal(9), Decimal(0))
SEEN = "X: broker 0, books 9"
REFUSALS: list[Row] = [
    (Gate.PERMISSION, Reason.LIVE_NOT_ARMED, on_desk(permission=NOT_ARMED),
     FAIL, "live", None),
    (Gate.TRADING_STATE, Reason.HALTED, with_state(TradingState.REDUCE_ONLY),
     FAIL, "REDUCE_ONLY by ada: lunch", None),
    (Gate.TRADING_STATE, Reason.FLATTEN, with_state(TradingState.FLATTEN),
     FAIL, "FLATTEN by ada: lunch", None),
    (Gate.TRADING_STATE, Reason.STATE_UNREADABLE, with_state(TradingState.REDUCE_ONLY, lost=True),
     FAIL, "REDUCE_ONLY by ada: lunch", None),
    (Gate.SESSION, Reason.MARKET_CLOSED, on_desk(session=None, clock=CLOSED), FAIL, OPENS, None),
    (Gate.SESSION, Reason.MARKET_CLOSED, on_desk(now=SESSION.close, clock=CLOSED), FAIL, OPENS, None),
    (Gate.SESSION, Reason.CALENDAR_DISAGREES, on_desk(session=None),
     FAIL, "broker open, calendar closed", None),
    (Gate.SESSION, Reason.CALENDAR_DISAGREES, on_desk(clock=CLOSED),
     FAIL, "broker closed, calendar open", None),
    (Gate.SESSION, Reason.CALENDAR_DISAGREES, on_desk(session=HALF),
     FAIL, "broker closes 2026-11-16T21:00Z, calendar 2026-11-16T18:00Z", None),
    (Gate.SESSION, Reason.CALENDAR_DISAGREES, on_desk(calendar_differs="9 to 5, 9 to 4"),
     FAIL, "9 to 5, 9 to 4", None),
    (Gate.SESSION, Reason.CLOCKS_DISAGREE, on_desk(clock_ahead_s=61.0), FAIL, 61.0, 60),
    (Gate.SESSION, Reason.CLOCKS_DISAGREE, on_desk(clock_ahead_s=-61.0), FAIL, -61.0, 60),
    (Gate.RECONCILED, Reason.NOT_RECONCILED, on_desk(reconcile=None), UNKNOWN, None, None),
    (Gate.RECONCILED, Reason.RECONCILE_FINDINGS, on_desk(reconcile=ReconcileMark(NOW, 2, 3)), FAIL, 2, 0),
    (Gate.RECONCILED, Reason.VIEW_INCOMPLETE, on_desk(unreadable=1), UNKNOWN, 1, 0),
    (Gate.RECONCILED, Reason.VIEW_UNSTEADY, on_desk(steady=False), UNKNOWN, None, None),
    (Gate.RECONCILED, Reason.POSITIONS_DIFFER, on_desk(differences=(TORN,)), FAIL, SEEN, None),
    (Gate.RECONCILED, Reason.POSITIONS_DIFFER, on_desk(differences=2 * (TORN,)), FAIL, f"{SEEN}, and 1 more", None),
    (Gate.WORKING, Reason.ORDER_LEFT_OUT, on_desk(omitted_orders=frozenset({"AAPL"})), FAIL, None, None),
    (Gate.RECONCILED, Reason.RECONCILE_STALE, on_desk(reconcile=ReconcileMark(ago(2701), 0, 0)),
     FAIL, 2701.0, 2700),
    (Gate.RECONCILED, Reason.RECONCILE_FROM_FUTURE, on_desk(reconcile=ReconcileMark(ago(-6), 0, 0)), FAIL, -6.0, 0),
    (Gate.FLOW_CONTRACT, Reason.FLOW_CONTRACT_FAILED, with_facts(foreign=3), FAIL, D("0.3"), D("0.20")),
    (Gate.FLOW_CONTRACT, Reason.FLOW_CONTRACT_FAILED, with_facts(foreign=1, rejected=2),
     FAIL, D("0.3"), D("0.20")),
    (Gate.FLOW_FRESH, Reason.FLOW_MISSING, on_desk({}), UNKNOWN, None, None),
    (Gate.FLOW_FRESH, Reason.FLOW_STALE, with_facts(alerts_fetched_at=ago(901)), FAIL, 901.0, 900),
    (Gate.FLOW_FRESH, Reason.FLOW_FROM_FUTURE, with_facts(alerts_fetched_at=ago(-6)), FAIL, -6.0, 0),
    (Gate.QUOTE_FRESH, Reason.QUOTE_MISSING, ask(quote=None), UNKNOWN, None, None),
    (Gate.QUOTE_FRESH, Reason.QUOTE_STALE, ask(quote=quote(at=ago(121))), FAIL, 121.0, 120),
    (Gate.QUOTE_FRESH, Reason.QUOTE_FROM_FUTURE, ask(quote=quote(at=ago(-6))), FAIL, -6.0, 0),
    (Gate.CANDIDATE_FRESH, Reason.CANDIDATE_EXPIRED, ask(candidate=replace(candidate(), at=ago(61))), FAIL, 61.0, 60),
    (Gate.CANDIDATE_FRESH, Reason.CANDIDATE_EXPIRED, ask(candidate=replace(candidate(), at=ago(-6))), FAIL, -6.0, 60),
    (Gate.POSITIONED, Reason.ALREADY_POSITIONED, on_own(staked(1, "AAPL")), FAIL, None, None),
    (Gate.POSITIONED, Reason.OPPOSITE_SIDE, on_own(staked(1, "AAPL", "other", Side.SELL)), FAIL, "other", None),
    (Gate.POSITIONED, Reason.OPPOSITE_SIDE, on_own(staked(1, "AAPL", "other", Side.SELL, held=False)),
     FAIL, "other", None),
    (Gate.POSITIONED, Reason.OTHER_CONTRACT, on_desk(other_contracts={"AAPL": "AAPL.F"}), FAIL, "AAPL.F", None),
    (Gate.POSITIONED, Reason.FOREIGN_POSITION, on_book(foreign=frozenset({"AAPL"})), FAIL, None, None),
    (Gate.WORKING, Reason.ORDER_WORKING, on_book(working=frozenset({"AAPL"})), FAIL, None, None),
    (Gate.UNRESOLVED, Reason.INTENT_UNRESOLVED, on_book(unresolved=frozenset({"AAPL"})), FAIL, None, None),
    (Gate.SCORE, Reason.SCORE_BELOW_MIN, ask(candidate=candidate(score=0.2)), FAIL, 0.2, 0.25),
    (Gate.SCORE, Reason.SCORE_BELOW_MIN, ask(candidate=candidate(score=None)), UNKNOWN, None, None),
    (Gate.COVERAGE, Reason.COVERAGE_BELOW_MIN, ask(candidate=replace(candidate(), coverage=0.5)),
     FAIL, 0.5, 0.6),
    (Gate.COVERAGE, Reason.COVERAGE_BELOW_MIN, ask(candidate=replace(candidate(), coverage=None)),
     UNKNOWN, None, None),
    (Gate.SIZE, Reason.SIZE_BELOW_ONE, ask(quote=quote(bid="5990", ask="6000")), FAIL, D("0"), D("1")),
    (Gate.SIZE, Reason.QUOTE_MISSING, ask(quote=None), UNKNOWN, None, None),
    (Gate.PRICE_COLLAR, Reason.PRICE_MOVED, ask(quote=closed_at("90")),
     FAIL, D("100.20") / 90 - 1, D("0.10")),
    (Gate.PRICE_COLLAR, Reason.PREVIOUS_CLOSE_MISSING, ask(quote=closed_at(None)), UNKNOWN, None, D("0.10")),
    (Gate.SPREAD, Reason.SPREAD_TOO_WIDE, ask(quote=quote(bid="99", ask="101")), FAIL, D("0.02"), D("0.005")),
    (Gate.SPREAD, Reason.QUOTE_MISSING, ask(quote=None), UNKNOWN, None, D("0.005")),
    (Gate.OPEN_POSITIONS, Reason.MAX_OPEN_POSITIONS, on_book(held=frozenset("BCDEF")), FAIL, 6, 5),
    (Gate.OPEN_POSITIONS, Reason.MAX_OPEN_POSITIONS,
     on_book(held=frozenset("BC"), foreign=frozenset("D"), working=frozenset("E"), unresolved=frozenset("F")),
     FAIL, 6, 5),
    (Gate.NEW_ENTRIES, Reason.MAX_NEW_ENTRIES, on_book(new_entries=3 * ("other",)), FAIL, 4, 3),
    (Gate.ORDER_NOTIONAL, Reason.ORDER_NOTIONAL_ABOVE_MAX, ask(size=sized(51)), FAIL, D("5100"), D("5000")),
    (Gate.ORDER_NOTIONAL, Reason.ORDER_NOTIONAL_BELOW_MIN, ask(size=sized(1, "99")), FAIL, D("99"), D("100")),
    (Gate.ORDER_NOTIONAL, Reason.QUOTE_MISSING, ask(quote=None), UNKNOWN, None, None),
    (Gate.SYMBOL_NOTIONAL, Reason.SYMBOL_NOTIONAL_ABOVE_MAX,
     ask(book=book(exposure={"AAPL": D("6000")}), size=sized(50)), FAIL, D("0.11"), D("0.10")),
    (Gate.SYMBOL_NOTIONAL, Reason.EQUITY_UNKNOWN, ask(book=book(equity=D("0")), size=sized(1)),
     UNKNOWN, D("0"), D("0.10")),
    (Gate.SECTOR_NOTIONAL, Reason.SECTOR_NOTIONAL_ABOVE_MAX,
     ask(book=book(sector_exposure={"technology": D("26000")}), size=sized(50)), FAIL, D("0.31"), D("0.30")),
    (Gate.SECTOR_NOTIONAL, Reason.SECTOR_UNKNOWN, on_desk(sectors={}), UNKNOWN, None, D("0.30")),
    (Gate.GROSS_NOTIONAL, Reason.GROSS_NOTIONAL_ABOVE_MAX, ask(book=book(gross=D("56000")), size=sized(50)),
     FAIL, D("0.61"), D("0.60")),
    (Gate.OWN_OPEN_POSITIONS, Reason.OWN_MAX_OPEN_POSITIONS, on_own(staked(1), max_open_positions=1), FAIL, 2, 1),
    (Gate.OWN_OPEN_POSITIONS, Reason.OWN_MAX_OPEN_POSITIONS,
     on_own(staked(1, held=False), max_open_positions=1), FAIL, 2, 1),
    (Gate.OWN_NEW_ENTRIES, Reason.OWN_MAX_NEW_ENTRIES, on_own(new=("flow", "other"), max_new_entries=1), FAIL, 2, 1),
    (Gate.OWN_SESSION_ENTRIES, Reason.OWN_MAX_SESSION_ENTRIES,
     on_own(entries=entered(900, "MSFT"), max_session_entries=1), FAIL, 2, 1),
    (Gate.OWN_ORDER_RATE, Reason.OWN_ORDER_RATE,
     on_own(entries=entered(0, "MSFT"), max_orders_per_second=1), FAIL, 2, 1),
    (Gate.OWN_SYMBOL_NOTIONAL, Reason.OWN_SYMBOL_NOTIONAL_ABOVE_MAX,
     on_own(staked(1600, "AAPL", held=False)), FAIL, D("0.104"), D("0.10")),
    (Gate.OWN_SECTOR_NOTIONAL, Reason.OWN_SECTOR_NOTIONAL_ABOVE_MAX, on_own(staked(6600)), FAIL, D("0.304"), D("0.30")),
    (Gate.OWN_GROSS_NOTIONAL, Reason.OWN_GROSS_NOTIONAL_ABOVE_MAX,
     on_own(staked(14_100, "XOM")), FAIL, D("0.604"), D("0.60")),
    (Gate.OWN_GROSS_NOTIONAL, Reason.EQUITY_UNKNOWN, ask(book=book(equity=D("0")), size=sized(1)),
     UNKNOWN, D("0"), D("0.60")),
    (Gate.BUYING_POWER, Reason.BUYING_POWER_SHORT, ask(book=book(buying_power=D("4999")), size=sized(50)),
     FAIL, D("5000"), D("4999")),
    (Gate.DAILY_LOSS, Reason.DAILY_LOSS_REACHED, on_book(equity=D("98000"), day_loss=D("2000")),
     FAIL, D("0.02"), D("0.02")),
    (Gate.DAILY_LOSS, Reason.EQUITY_UNKNOWN, on_book(equity=D("-1")), UNKNOWN, D("-1"), D("0.02")),
    (Gate.COOLDOWN, Reason.COOLDOWN, on_book(last_fill_at={"AAPL": ago(1799)}), FAIL, 1799.0, 1800),
    (Gate.DUPLICATE, Reason.DUPLICATE_INTENT, ask(is_recorded=True), FAIL, None, None),
    (Gate.DUPLICATE, Reason.DUPLICATE_ORDER, on_book(entries=entered(59, strategy="other")), FAIL, 59.0, 60),
    (Gate.DRAWDOWN, Reason.DRAWDOWN_REACHED, on_book(equity=D("90000"), peak_equity=CASH), FAIL, D("0.1"), D("0.10")),
    (Gate.DRAWDOWN, Reason.EQUITY_UNKNOWN, on_book(equity=D("0"), peak_equity=CASH), UNKNOWN, D("0"), D("0.10")),
    (Gate.SESSION_ENTRIES, Reason.MAX_SESSION_ENTRIES, on_book(entries=30 * entered(900, "MSFT")), FAIL, 31, 30),
    (Gate.SYMBOL_ENTRIES, Reason.MAX_SYMBOL_ENTRIES, on_book(entries=4 * entered(900)), FAIL, 5, 4),
    (Gate.ORDER_RATE, Reason.ORDER_RATE, on_book(entries=5 * entered(0, "MSFT")), FAIL, 6, 5),
    (Gate.ORDER_RATE, Reason.ORDER_RATE, on_book(entries=20 * entered(59, "MSFT")), FAIL, 21, 20),
    (Gate.SECOND_WRITER, Reason.SECOND_WRITER, with_signs(unknown_orders=("tb1.a", "tb1.b")), FAIL, "tb1.a, tb1.b", 0),
    (Gate.BOOKS_OLD, Reason.BOOKS_OLD, with_signs(forgotten=("tb1.a",)), FAIL, "tb1.a", 0),
    (Gate.VENUE_DRIFT, Reason.VENUE_DRIFT, with_signs(unreadable=3), FAIL, 3, 3),
    (Gate.REFUSALS, Reason.REJECT_STORM, with_signs(refused=5 * (ago(599),)), FAIL, 5, 5),
    (Gate.UNANSWERED, Reason.UNKNOWN_STORM, with_signs(unanswered=5 * (ago(599),)), FAIL, 5, 5),
]  # fmt: skip
PASSES_AT_THE_EDGE: list[tuple[Gate, Ask]] = [
    (Gate.SESSION, on_desk(clock_ahead_s=60.0)),
    (Gate.SESSION, on_desk(clock_ahead_s=-60.0)),
    (Gate.SIZE, ask(size=sized(1))),
    (Gate.RECONCILED, on_desk(reconcile=ReconcileMark(ago(2700), 0, 3))),
    (Gate.RECONCILED, on_desk(reconcile=ReconcileMark(ago(-5), 0, 0))),
    (Gate.FLOW_CONTRACT, with_facts(foreign=2)),
    (Gate.FLOW_CONTRACT, with_facts(received=0)),
    (Gate.FLOW_FRESH, with_facts(alerts_fetched_at=ago(900))),
    (Gate.FLOW_FRESH, with_facts(alerts_fetched_at=ago(-5))),
    (Gate.QUOTE_FRESH, ask(quote=quote(at=ago(120)))),
    (Gate.CANDIDATE_FRESH, ask(candidate=replace(candidate(), at=ago(60)))),
    (Gate.CANDIDATE_FRESH, ask(candidate=replace(candidate(), at=ago(-5)))),
    (Gate.QUOTE_FRESH, ask(quote=quote(at=ago(-5)))),
    (Gate.POSITIONED, on_book(stakes=(staked(1),), held=frozenset({"MSFT"}), foreign=frozenset({"XOM"}))),
    (Gate.WORKING, on_book(working=frozenset({"MSFT"}))),
    (Gate.UNRESOLVED, on_book(unresolved=frozenset({"MSFT"}))),
    (Gate.SCORE, ask(candidate=candidate(score=0.25))),
    (Gate.SCORE, ask(candidate=candidate(side=Side.SELL, score=0.25))),
    (Gate.COVERAGE, ask(candidate=replace(candidate(), coverage=0.6))),
    (Gate.PRICE_COLLAR, ask(quote=closed_at("100"), size=sized(1, "110"))),
    (Gate.PRICE_COLLAR, ask(quote=closed_at("100"), size=sized(1, "90"))),
    (Gate.SPREAD, ask(quote=quote(bid="399", ask="401"))),
    (Gate.OPEN_POSITIONS, on_book(held=frozenset("BCDE"))),
    (Gate.NEW_ENTRIES, on_book(new_entries=2 * ("flow",))),
    (Gate.ORDER_NOTIONAL, ask(size=sized(50))),
    (Gate.ORDER_NOTIONAL, ask(size=sized(1))),
    (Gate.SYMBOL_NOTIONAL, ask(book=book(exposure={"AAPL": D("5000")}), size=sized(50))),
    (Gate.SECTOR_NOTIONAL, ask(book=book(sector_exposure={"technology": D("25000")}), size=sized(50))),
    (Gate.GROSS_NOTIONAL, ask(book=book(gross=D("55000")), size=sized(50))),
    (Gate.POSITIONED, on_own(staked(1, "AAPL", "other"), staked(1, "AAPL", "third", held=False))),
    (Gate.OWN_OPEN_POSITIONS, on_own(staked(1), staked(1, "XOM", "other"), max_open_positions=2)),
    (Gate.OPEN_POSITIONS, on_book(held=frozenset(["AAPL", *"BCDE"]))),
    (Gate.OWN_NEW_ENTRIES, on_own(new=("other", "other"), max_new_entries=1)),
    (Gate.OWN_SESSION_ENTRIES, on_own(entries=3 * entered(900, "XOM", strategy="other"), max_session_entries=1)),
    (Gate.OWN_ORDER_RATE, on_own(entries=3 * entered(0, "XOM", strategy="other"), max_orders_per_second=1)),
    (Gate.OWN_SYMBOL_NOTIONAL, on_own(staked(1500, "AAPL"), staked(9999, "AAPL", "other"))),
    (Gate.OWN_SECTOR_NOTIONAL, on_own(staked(6500), staked(9999, "MSFT", "other"))),
    (Gate.OWN_GROSS_NOTIONAL, on_own(staked(14_000, "XOM"), staked(99_999, "JPM", "other"))),
    (Gate.BUYING_POWER, ask(book=book(buying_power=D("5000")), size=sized(50))),
    (Gate.DAILY_LOSS, on_book(equity=D("98001"), day_loss=D("1999"))),
    (Gate.COOLDOWN, on_book(last_fill_at={"AAPL": ago(1800)})),
    (Gate.DUPLICATE, on_book(entries=entered(60))),
    (Gate.DUPLICATE, on_book(entries=entered(0, side=Side.SELL))),
    (Gate.DRAWDOWN, on_book(equity=D("90001"), peak_equity=CASH)),
    (Gate.DRAWDOWN, on_book(equity=D("1"), peak_equity=None)),
    (Gate.SESSION_ENTRIES, on_book(entries=29 * entered(900, "MSFT"))),
    (Gate.SYMBOL_ENTRIES, on_book(entries=(*3 * entered(900), *entered(900, side=Side.SELL)))),
    (Gate.ORDER_RATE, on_book(entries=(*4 * entered(0, "MSFT"), *15 * entered(59, "MSFT")))),
    (Gate.ORDER_RATE, on_book(entries=29 * entered(60, "MSFT"))),
    (Gate.VENUE_DRIFT, with_signs(unreadable=2)),
    (Gate.REFUSALS, with_signs(refused=(*4 * (ago(599),), *9 * (ago(600),)))),
    (Gate.UNANSWERED, with_signs(unanswered=(*4 * (ago(599),), *9 * (ago(600),)))),
]


def answers(asked: Ask) -> dict[Gate, Decision]:
    return {decision.gate: decision for decision in decide(asked)}


def test_an_ordinary_candidate_passes_every_gate() -> None:
    decisions = decide(ask())
    assert [decision.gate for decision in decisions] == ASKED
    assert first_failure(decisions) is None
    assert all(decision.reason is None for decision in decisions)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_gate_refuses_with_its_reason_and_its_numbers(row: Row) -> None:
    gate, reason, asked, verdict, observed, limit = row
    said = answers(asked)[gate]
    assert (said.verdict, said.reason, said.observed, said.limit) == (verdict, reason, observed, limit)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_every_gate_is_asked_even_after_a_no(row: Row) -> None:
    assert [decision.gate for decision in decide(row[2])] == ASKED


@pytest.mark.parametrize(("gate", "asked"), PASSES_AT_THE_EDGE, ids=lambda part: str(part)[:20])
def test_a_gate_passes_at_its_limit(gate: Gate, asked: Ask) -> None:
    assert answers(asked)[gate].verdict is Verdict.PASS


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_each_number_has_a_unit_but_a_score(row: Row) -> None:
    gate, reason, _, _, observed, limit = row
    numbers = [each for each in (observed, limit) if isinstance(each, Decimal | float | int)]
    units = set(units_of(gate, reason)) | {gate.unit}
    assert (Unit.NONE not in units) or not numbers or gate is Gate.SCORE


def test_strategy_in_shadow_enters_nowhere_and_the_others_are_not_asked() -> None:
    refused = decide(on_desk(permission=Permission(in_shadow=frozenset({"flow"}))))
    (found,) = (one for one in refused if one.gate is Gate.PROMOTION)
    assert (found.verdict, found.reason) == (FAIL, Reason.IN_SHADOW)
    others = decide(on_desk(permission=Permission(in_shadow=frozenset({"rotation"}))))
    assert Gate.PROMOTION not in [one.gate for one in others]


@pytest.mark.parametrize(
    ("climbed", "verdict", "reason", "observed", "limit"),
    [
        (RungReached(Decimal(1), "live", "live small"), Verdict.PASS, None, "live", "live small"),
        (RungReached(Decimal("0.1"), "live small", "live small"), Verdict.PASS, None, "live small", "live small"),
        (
            RungReached(Decimal(0), "paper", "live small", Reason.NOT_PROMOTED),
            FAIL,
            Reason.NOT_PROMOTED,
            "paper",
            "live small",
        ),
        (
            RungReached(Decimal(0), "hash b", "hash a", Reason.PROMOTION_LAPSED),
            FAIL,
            Reason.PROMOTION_LAPSED,
            "hash b",
            "hash a",
        ),
        (None, UNKNOWN, Reason.NOT_PROMOTED, "never promoted", None),
    ],
)
def test_strategy_needs_a_promotion_where_real_money_is_at_stake(
    climbed: RungReached | None, verdict: Verdict, reason: Reason | None, observed: str, limit: str | None
) -> None:
    others = {"rotation": RungReached(Decimal(1), "live", "live small")}
    known = others if climbed is None else {**others, "flow": climbed}
    decisions = decide(on_desk(permission=Permission(climbed=known)))
    assert [one.gate for one in decisions] == [gate for gate in Gate if gate in (*ASKED, Gate.PROMOTION)]
    (said,) = (one for one in decisions if one.gate is Gate.PROMOTION)
    assert (said.verdict, said.reason, said.observed, said.limit) == (verdict, reason, observed, limit)


def test_each_gate_has_a_case_that_it_refuses() -> None:
    assert set(ASKED) == {row[0] for row in REFUSALS}, "tests/gates/test_entry.py: REFUSALS has a case for each gate"


def test_each_gate_with_a_limit_has_a_case_that_passes_at_it() -> None:
    limited = {row[0] for row in REFUSALS if row[5]}
    passed = [answers(asked)[gate] for gate, asked in PASSES_AT_THE_EDGE]
    shown = {decision.gate for decision in passed if None not in (decision.observed, decision.limit)}
    assert limited <= shown, "tests/gates/test_entry.py: PASSES_AT_THE_EDGE has a case with numbers for each limit"


def test_without_a_quote_nothing_that_needs_a_price_passes() -> None:
    said = answers(ask(quote=None))
    unknown = {gate for gate, decision in said.items() if decision.verdict is UNKNOWN}
    assert unknown == {
        Gate.QUOTE_FRESH, Gate.SIZE, Gate.PRICE_COLLAR, Gate.SPREAD, Gate.ORDER_NOTIONAL,
        Gate.SYMBOL_NOTIONAL,
        Gate.SECTOR_NOTIONAL, Gate.GROSS_NOTIONAL, Gate.BUYING_POWER,
        Gate.OWN_SYMBOL_NOTIONAL, Gate.OWN_SECTOR_NOTIONAL, Gate.OWN_GROSS_NOTIONAL,
    }  # fmt: skip
    assert {said[gate].reason for gate in unknown} == {Reason.QUOTE_MISSING}


def test_a_strategys_own_answer_stands_in_its_place_of_the_order() -> None:
    own = Decision(Gate.STRATEGY, FAIL, Reason.CLUSTER_TOO_SMALL, 2, 3)
    decisions = decide(ask(candidate=replace(candidate(), decisions=(own,))))
    assert [d.gate for d in decisions] == [gate for gate in Gate if gate in (*ASKED, Gate.STRATEGY)]
    assert first_failure(decisions) is own


def test_a_strategy_cannot_answer_for_a_gate_nor_hide_one_no_behind_a_yes() -> None:
    forged = Decision(Gate.PERMISSION, Verdict.PASS)
    no, yes = Decision(Gate.STRATEGY, FAIL, Reason.LONG_ONLY), Decision(Gate.STRATEGY, Verdict.PASS)
    closed = desk(permission=Permission(((Reason.LIVE_NOT_ARMED, "live"),)))
    decisions = decide(ask(candidate=replace(candidate(), decisions=(forged, no, yes)), desk=closed))
    assert [d.verdict for d in decisions if d.gate is Gate.PERMISSION] == [Verdict.PASS, FAIL]
    assert no in decisions


def test_the_worst_of_all_still_names_the_first_gate_as_the_end() -> None:
    closed = Permission(((Reason.ACCOUNT_BLOCKED, "trading_blocked"),))
    worst = ask(desk=desk({}, permission=closed, reconcile=None), quote=None, is_recorded=True)
    end = first_failure(decide(worst))
    assert end is not None
    assert end.reason is Reason.ACCOUNT_BLOCKED


def test_a_blocked_account_is_not_hidden_by_another_closed_door() -> None:
    doors = Permission(((Reason.LIVE_NOT_ARMED, "live"), (Reason.ACCOUNT_BLOCKED, "x")))
    assert answers(on_desk(permission=doors, account=account()))[Gate.PERMISSION].reason is Reason.LIVE_NOT_ARMED


sides = st.sampled_from(Side)
prices = st.decimals("0.0002", 5000, places=4)
fractions = st.decimals("0.0001", 1, places=4)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    bid, wider = draw(prices), draw(st.decimals(0, 3, places=4))
    return replace(quote(), bid=bid, ask=bid + wider)


@st.composite
def size_limits(draw: st.DrawFn) -> Limits:
    return limits(
        max_order_fraction=draw(fractions),
        max_order_notional_usd=draw(st.decimals(1, 50_000, places=2)),
        limit_offset_fraction=draw(st.decimals(0, "0.05", places=4)),
    )


@given(side=sides, seen=quotes(), rules=size_limits(), equity=st.decimals(-1000, 10**6, places=2))
def test_a_size_is_whole_lots_within_both_limits(side: Side, seen: Quote, rules: Limits, equity: Decimal) -> None:
    size = size_of(candidate(side=side), seen, book(equity=equity), rules)
    assert size.quantity >= 0
    assert size.quantity == int(size.quantity)
    worst = size.limit_price if side is Side.BUY else max(size.limit_price, seen.ask)
    assert size.notional_usd == size.quantity * worst <= size.margin_usd
    assert size.notional_usd <= rules.max_order_notional_usd
    assert size.notional_usd <= max(rules.max_order_fraction * equity, Decimal(0))
    one_more = size.notional_usd + worst
    assert one_more > min(rules.max_order_notional_usd, rules.max_order_fraction * equity)


@pytest.mark.parametrize(("lot", "quantity"), [("0.5", "49.5"), ("10", "40"), ("100", "0")])
def test_a_size_is_a_multiple_of_the_instruments_lot(lot: str, quantity: str) -> None:
    odd = listing("AAPL", lot=Decimal(lot))
    size = entry_size(candidate(), odd, quote(), book(), LIMITS, ALPACA.short_reserve)
    assert size.quantity == Decimal(quantity)


@given(side=sides, seen=quotes(), offset=st.decimals(0, "0.05", places=4))
def test_a_limit_price_is_on_its_tick_and_never_inside_the_touch(side: Side, seen: Quote, offset: Decimal) -> None:
    price = marketable_limit(listing("AAPL"), side, seen, offset)
    tick = Decimal("0.01") if price >= 1 else Decimal("0.0001")
    assert price > 0
    assert price % tick == 0
    assert price >= seen.ask if side is Side.BUY else price <= seen.bid


@given(entries=st.lists(st.tuples(st.sampled_from(["AAPL", "MSFT", "XOM"]), st.integers(1, 90), prices), max_size=6))
def test_a_book_with_entries_adds_up(entries: list[tuple[str, int, Decimal]]) -> None:
    before = seen = book(exposure={"XOM": Decimal(500)}, gross=Decimal(500))
    for symbol, quantity, price in entries:
        wanted = SessionEntry("flow", symbol, Side.BUY, NOW)
        seen = seen.with_entry(wanted, instrument(symbol).notional(Decimal(quantity), price), f"sector of {symbol}")
    spent = sum((abs(instrument(s).notional(Decimal(q), p)) for s, q, p in entries), Decimal(0))
    assert before.buying_power - seen.buying_power == spent
    assert seen.gross == before.gross + spent == sum(seen.exposure.values(), Decimal(0))
    assert sum(seen.sector_exposure.values(), Decimal(0)) == spent
    assert (seen.new_entries, seen.working) == (len(entries) * ("flow",), frozenset(e[0] for e in entries))
    assert (before.new_entries, before.equity) == ((), seen.equity)
    assert sum((stake.usd for stake in seen.stakes), Decimal(0)) == spent


@given(seen=quotes(), rules=size_limits())
def test_an_order_of_our_own_size_passes_the_gates_on_its_size(seen: Quote, rules: Limits) -> None:
    sized_here = ask(quote=seen, limits=rules)
    said = answers(sized_here)
    assert said[Gate.ORDER_NOTIONAL].reason is not Reason.ORDER_NOTIONAL_ABOVE_MAX
    assert (said[Gate.SIZE].verdict is Verdict.PASS) == bool(sized_here.size and sized_here.size.quantity)


def test_the_next_candidate_of_a_sector_meets_what_the_last_one_took() -> None:
    seen: RiskBook = book()
    tight = limits(max_sector_fraction=Decimal("0.10"))
    ends = []
    for symbol in ("AAPL", "MSFT", "NVDA"):
        seen_desk = desk({s: fetched_facts(s) for s in ("AAPL", "MSFT", "NVDA")}, sectors=dict.fromkeys(
            ("AAPL", "MSFT", "NVDA"), "technology"))  # fmt: skip
        asked = ask(candidate=candidate(symbol), desk=seen_desk, book=seen, limits=tight)
        ends.append(first_failure(decide(asked)))
        assert asked.size is not None
        seen = seen.with_entry(SessionEntry("flow", symbol, Side.BUY, NOW), asked.size.notional_usd, "technology")
    assert [end.reason if end else None for end in ends] == [None, None, Reason.SECTOR_NOTIONAL_ABOVE_MAX]
    assert LIMITS.max_sector_fraction * CASH > seen.sector_exposure["technology"]


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_gates_of_the_account_asked_once_for_many_candidates_say_what_they_say_to_each(row: Row) -> None:
    asked = row[2]
    others = [replace(asked, candidate=replace(asked.candidate, side=side)) for side in Side]
    rules = StrategyRules(
        (), asked.limits, asked.strategy.book.equity / asked.book.equity if asked.book.equity else D("1")
    )
    afresh = replace(asked.account).of(asked.candidate.strategy, rules)
    for other in (*others, replace(asked, quote=None, size=None)):
        assert decide(other) == decide(replace(other, strategy=afresh))


def test_what_gates_were_asked_leaves_memory_by_itself() -> None:
    decide(ask())
    # What other tests have made isn't looked through, which would take seconds.
    gc.freeze()
    try:
        asked = ask()
        again = asked.account.of(asked.candidate.strategy, StrategyRules((), asked.limits))
        assert decide(replace(asked, strategy=again)) == decide(asked)
        del asked, again
        assert gc.collect() == 0, "what refers to itself stays until it is looked for, which takes a third of a second"
    finally:
        gc.unfreeze()
