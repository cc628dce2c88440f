"""What a backtest earned, and how often and why its targets were not held, worked out by hand.

Frames say what the report, the fills and the passes say, with one type in each column.
"""

from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pytest

from tests.kit.core.scene import Scene
from tests.kit.trades import account, long_backtest, new_account, past
from tests.kit.values import NOW, SECTORS, cash_movement, fill, instrument, limits, there
from tradebot.gates.halts import CLEARED_BY
from tradebot.lab.performance.backtest_result import (
    SETTINGS,
    BacktestResult,
    DeepestDrawdown,
    Targets,
    backtest_result,
    targets,
    what_it_cannot_know,
)
from tradebot.lab.performance.frames import frames
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import HaltRules, StrategyRules
from tradebot.model.order import Fee
from tradebot.model.position import Origin
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job, SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.ports.world import Rules


def at(day: int, hour: int = 15) -> datetime:
    return datetime(2025, 3, day, hour, tzinfo=UTC)


def ended(*equities: str) -> list[SessionEnd]:
    return [
        SessionEnd(date(2025, 3, 3 + place), Decimal(equity), at(3 + place, 20), {}, None)
        for place, equity in enumerate(equities)
    ]


def result(*equities: str) -> BacktestResult:
    fills = [
        fill(0, quantity="10", price="100", at=at(3), fee=Fee(Decimal("0.25"))),
        fill(1, side=Side.SELL, quantity="10", price="110", at=at(4)),
        fill(2, symbol="MSFT", quantity="1", price="50", at=at(4)),
    ]
    cash = [
        cash_movement(at(3), Decimal(amount), kind, Origin.ACTIVITY, "", "")
        for kind, amount in (("FEE", "-1.50"), ("INT", "-0.25"), ("DIV", "2"), ("FEE", "-0.50"), ("FUNDING", "-3"))
    ]
    halt = TradingStateRecord(TradingState.REDUCE_ONLY, "bot", "too deep", at(4), frozenset({Reason.DRAWDOWN_REACHED}))
    back = TradingStateRecord(TradingState.ACTIVE, "me", "fine", at(5))
    return backtest_result(Decimal(1000), ended(*equities), fills, cash, [halt, back])


def test_backtest_result_adds_up_the_books() -> None:
    found = result("1100", "990", "1210")
    assert (found.first_session, found.last_session, found.sessions) == (date(2025, 3, 3), date(2025, 3, 5), 3)
    assert found.total_return == pytest.approx(0.21)
    assert there(found.max_drawdown).depth == pytest.approx(-0.1)
    dates = replace(there(found.max_drawdown), depth=0.0)
    assert dates == DeepestDrawdown(0.0, date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5))
    assert (found.trades, found.still_open, found.fills, found.traded_usd) == (1, 1, 3, Decimal(2150))
    paid = [found.fees_usd, found.interest_usd, found.dividends_usd, found.funding_usd]
    assert paid == [Decimal("-2.25"), Decimal("-0.25"), Decimal(2), Decimal(-3)]
    (halt,) = found.halts
    assert (halt.at, halt.causes, halt.settings) == (at(4), ("DRAWDOWN_REACHED",), ("halts.drawdown_fraction",))
    assert halt.ended == at(5)
    assert found.yearly_return is None, "three sessions say nothing about a year"


def test_settings_that_would_let_a_halted_study_go_on_belong_to_causes_of_halts() -> None:
    assert set(SETTINGS.values()) <= {f"halts.{name}" for name in HaltRules.model_fields}
    assert set(SETTINGS) <= set(CLEARED_BY)


def test_backtest_that_only_rises_has_no_drawdown() -> None:
    assert result("1001", "1002").max_drawdown is None


def test_backtest_of_a_year_has_a_yearly_return() -> None:
    ends = [
        SessionEnd(date.fromordinal(738000 + place), Decimal(1000 + place), at(3), {}, None) for place in range(504)
    ]
    assert backtest_result(Decimal(1000), ends, (), (), ()).yearly_return == pytest.approx(1.503**0.5 - 1)
    of_days = backtest_result(Decimal(1000), ends[:365], (), (), (), year=365)
    assert of_days.yearly_return == pytest.approx(of_days.total_return), "a venue that never closes has more sessions"
    assert what_it_cannot_know(of_days)[1].startswith("1.0 years of one market")
    usual = there(backtest_result(Decimal(1000), ends[:365], (), (), ()).sharpe)
    assert of_days.sharpe == pytest.approx(usual * (365 / 252) ** 0.5)


def test_backtest_cautions_appear_where_they_apply() -> None:
    said = what_it_cannot_know(result("1100"))
    assert said[0].startswith("Only 1 trade closed")
    assert said[1].startswith("Less than a year of one market")
    assert said[-1].startswith("Nobody reacted to its trades")


WALLS = {"max_symbol_fraction": "0.2", "max_sector_fraction": "0.4", "max_gross_fraction": "0.65"}
FINE = {"limit_offset_fraction": "0.002", "max_spread_fraction": "0.003", "target_tolerance_fraction": "0.01"}
DAY = NOW.date()
HELD, CAPPED, NO_SECTOR = Reason.TARGET_REACHED, Reason.SYMBOL_NOTIONAL_ABOVE_MAX, Reason.SECTOR_UNKNOWN


def rules(allotment: str = "1", **own: str) -> Rules:
    account = limits(**{name: Decimal(value) for name, value in (WALLS | FINE).items()})
    mine = account.model_copy(update={name: Decimal(value) for name, value in own.items()})
    known = {"thirds": StrategyRules((), mine, Decimal(allotment))}
    return replace(Scene().world().rules, limits=account, sectors=SECTORS, own=known)


def record(symbol: str, end: Reason | None, weight: str = "0.3333", sent: str | None = None) -> CandidateRecord:
    candidate = Candidate("thirds", instrument(symbol), Side.BUY, Purpose.OPEN, NOW, quantity=Decimal(10))
    candidate = replace(candidate, weight=Decimal(weight), want=WantKind.TARGET)
    decisions = (Decision(Gate.TARGET, Verdict.FAIL, end),) if end else ()
    return CandidateRecord(candidate, decisions, sent)


def cycle(*records: CandidateRecord, day: int = 0, slot: str = "open+5m") -> CycleRecord:
    session = DAY.replace(day=DAY.day - day)
    own = tuple(replace(r, candidate=replace(r.candidate, slot=slot, slot_session=session)) for r in records)
    return CycleRecord(f"{day}{slot}", Job.TRADE_ONCE, session, slot, NOW, "sandbox", own)


def found(*cycles: CycleRecord, of: Rules | None = None, filled: str = "10") -> Targets:
    return there(targets(cycles, {"order": Decimal(filled)}, of or rules()))


def test_the_last_pass_of_a_rebalance_says_whether_its_targets_were_reached() -> None:
    early, late = cycle(record("AAPL", CAPPED), day=1), cycle(record("AAPL", HELD), day=1)
    assert found(early, late) == Targets(1, 1, {}, {}, (), ("reached in 1 of 1 rebalance",))
    assert found(late, early, cycle(record("AAPL", HELD))).reached == 1


@pytest.mark.parametrize(("filled", "reached"), [("10", 1), ("9", 0)])
def test_an_order_reaches_its_target_if_all_of_it_fills(filled: str, reached: int) -> None:
    one = found(cycle(record("AAPL", None, "0.1", "order")), filled=filled)
    assert (one.reached, one.stopped) == (reached, {} if reached else {"NOT_FILLED": 1})


def test_limits_below_the_wants_are_named_with_values_that_fit() -> None:
    told = found(cycle(record("AAPL", CAPPED), record("JPM", CAPPED), record("XOM", HELD)))
    # (0.3333 + 0.01) * 1.005 = 0.34502, and three times that
    assert told.fitting == {"limits.max_symbol_fraction": Decimal("0.35"), "limits.max_gross_fraction": Decimal("1.04")}
    assert told.said == (
        "reached in 0 of 1 rebalance",
        "stopped by SYMBOL_NOTIONAL_ABOVE_MAX in 1",
        "to fit them, set limits.max_symbol_fraction: 0.35, limits.max_gross_fraction: 1.04",
    )


def test_what_two_symbols_of_a_sector_want_together_is_compared_with_the_sectors_limit() -> None:
    assert SECTORS["AAPL"] == SECTORS["MSFT"]
    told = found(cycle(record("AAPL", CAPPED), record("MSFT", CAPPED)))
    assert told.fitting["limits.max_sector_fraction"] == Decimal("0.70")


def test_a_strategys_own_limit_is_named_with_a_value_of_its_allotment() -> None:
    own = rules("0.5", max_symbol_fraction="0.3")
    told = found(cycle(record("AAPL", CAPPED, "0.35")), of=own)
    assert told.fitting == {"strategies.thirds.limits.max_symbol_fraction": Decimal("0.37")}


def test_symbols_without_a_sector_are_named_and_passes_without_targets_tell_nothing() -> None:
    told = found(cycle(record("ZZZZ", NO_SECTOR, "0.1"), record("AAPL", HELD, "0.1")))
    assert (told.without_sector, told.fitting) == (("ZZZZ",), {})
    assert told.said[-1] == "never bought, because they have no sector: ZZZZ; add each one under sectors"
    entry = record("AAPL", CAPPED)
    entry = replace(entry, candidate=replace(entry.candidate, want=WantKind.OPEN))
    assert targets([cycle(entry)], {}, rules()) is None


AT = datetime(2026, 11, 16, 15, tzinfo=UTC)


def test_equity_has_the_curve_with_exposure_and_half_years() -> None:
    of = long_backtest(300)
    equity = frames(of, (), ()).equity
    assert equity["equity_usd"].tolist() == [float(point.equity_usd) for point in of.curve]
    assert equity["session"].dt.date.tolist() == [point.session for point in of.curve]
    last = of.further.over_time[-1]
    shown = equity[["exposure", "volatility", "sharpe", "beta"]].iloc[-1].tolist()
    assert shown == [last.exposure, last.volatility, last.sharpe, last.beta]
    assert equity["exposure"].isna().tolist() == [True] + [False] * 300
    assert str(equity["at"].dt.tz) == "UTC"


def test_trades_and_fills_are_numbers_that_add_up_to_the_profit() -> None:
    of, history = account(30), past(1, 30)
    found = frames(of, history.fills, ())
    assert found.trades["net_usd"].sum() == pytest.approx(float(sum(trade.net_usd for trade in of.trades)))
    assert found.fills["cash_usd"].sum() == pytest.approx(float(of.earned.profit_usd))
    assert set(found.fills["side"]) == {"buy", "sell"}
    assert pd.api.types.is_float_dtype(found.fills["price"])


def test_decisions_name_what_refused_a_candidate_first_and_the_order_of_one_that_was_sent() -> None:
    candidate = Candidate("flow", instrument("AAPL"), Side.BUY, Purpose.OPEN, AT, score=0.4)
    passed = Decision(Gate.SESSION, Verdict.PASS)
    failed = Decision(Gate.RECONCILED, Verdict.FAIL, Reason.NOT_RECONCILED, 7.5, 5)
    records = (
        CandidateRecord(candidate, (passed, failed, Decision(Gate.RECONCILED, Verdict.FAIL, Reason.MARKET_CLOSED))),
        CandidateRecord(candidate, (passed,), "order-1", Decimal("100.5")),
    )
    cycle = CycleRecord("1", Job.TRADE_ONCE, AT.date(), "s", AT, "sandbox", records)
    refused, sent = frames(new_account(), (), [cycle]).decisions.to_dict("records")
    assert (refused["gate"], refused["reason"]) == ("reconciled", "NOT_RECONCILED")
    assert (refused["observed"], refused["limit"], pd.isna(refused["order"])) == ("7.5", "5", True)
    assert (sent["order"], sent["reference_price"]) == ("order-1", 100.5)
    assert [name for name, value in sent.items() if pd.isna(value)] == ["gate", "reason", "observed", "limit"]
    assert (sent["at"], sent["job"], sent["symbol"], sent["score"]) == (AT, "trade-once", "AAPL", 0.4)


def test_new_account_has_empty_tables_with_all_columns() -> None:
    whole, none = frames(account(30), past(1, 30).fills, ()), frames(new_account(), (), ())
    for some, empty in zip(whole, none, strict=True):
        assert list(some.columns) == list(empty.columns)
        assert len(empty) == 0
