"""Frames say what the report, the fills and the passes say, with one type in each column."""

from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import pytest

from tests.kit.trades import account, long_backtest, new_account, past
from tests.kit.values import instrument
from tradebot.lab.performance.frames import frames
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job

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
