"""Kinds of facts beyond alerts, prints and tides: rows in the source's shapes, what they say, and from when on."""

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest

from tests.kit.signals.source_rows import GOOD, JUNK, asked, captured, days, summed_up
from tests.kit.values import DAY, NOW, ago, dark_print
from tradebot.model.fact_kind import Kind, ReplyScope
from tradebot.model.instrument import Right
from tradebot.signals import kinds, subjects
from tradebot.signals.kinds import kind_of
from tradebot.signals.subjects import insiders
from tradebot.signals.subjects.calendars import EarningsFacts
from tradebot.signals.subjects.dark_pool import Prints
from tradebot.signals.subjects.insiders import (
    CONGRESS_KIND,
    CongressFacts,
    InsiderDay,
    InsiderFacts,
    InstitutionalFacts,
)
from tradebot.signals.subjects.market import EtfFlowFacts
from tradebot.signals.subjects.open_interest import GammaFacts, OiChange, OiFacts
from tradebot.signals.subjects.premium import ImpactFacts, NetPremFacts
from tradebot.signals.subjects.shorts import FailsFacts
from tradebot.signals.subjects.volatility import IvRank, SkewFacts, VolatilityFacts

LATE, LATER = (NOW + timedelta(seconds=6)).isoformat(), NOW + timedelta(days=400)
FILES = {
    "congress": "congress__recent-trades.json",
    "short_interest": "shorts__ticker__interest-float__v2.json",
    "fails_to_deliver": "shorts__ticker__ftds.json",
    "institutional": "institution__ticker__ownership.json",
    "sector_tide": "market__sector__sector-tide.json",
    "economic_calendar": "market__economic-calendar.json",
    "news": "news__headlines.json",
    "spot_gex": "stock__ticker__spot-exposures.json",
    "max_pain": "stock__ticker__max-pain.json",
    "realized_volatility": "stock__ticker__volatility__realized.json",
    "etf_flow": "etfs__ticker__in-outflow.json",
    "market_breadth": "screener__stocks.json",
}


@pytest.mark.parametrize("name", GOOD)
def test_good_row_becomes_one_fact_that_counts_today(name: str) -> None:
    intake = asked(name, GOOD[name])
    assert (len(intake.facts), intake.rejected) == (1, ())
    assert summed_up(name, GOOD[name]) is not None


@pytest.mark.parametrize("name", FILES)
def test_examples_of_the_source_are_read_without_loss(name: str) -> None:
    rows = captured(f"examples/{FILES[name]}")["data"]
    rows = [rows] if isinstance(rows, dict) else rows
    assert {frozenset(row) for row in rows} == {frozenset(kind_of(name).fields)}
    for row in rows:
        if "symbol" in row:
            row["symbol"] = "AAPL"
    intake = asked(name, *rows, at=LATER)
    assert (len(intake.facts), intake.rejected) == (len(rows), ())


@pytest.mark.parametrize("name", GOOD)
def test_row_is_read_or_counted_whatever_one_of_its_fields_holds(name: str) -> None:
    for field, junk in product(GOOD[name], JUNK):
        broken = {**GOOD[name], field: junk}
        intake = asked(name, broken)
        assert len(intake.facts) + len(intake.rejected) + intake.foreign == 1
        summed_up(name, broken, GOOD[name])


@pytest.mark.parametrize(
    ("name", "field", "value", "reason"),
    [
        ("flow_alerts", "id", None, "id is missing"),
        ("flow_alerts", "id", "  ", "id is empty"),
        ("flow_alerts", "ticker", None, "ticker is missing"),
        ("flow_alerts", "type", "straddle", "type is neither call nor put"),
        ("flow_alerts", "expiry", "soon", "expiry is not a date"),
        ("flow_alerts", "created_at", "yesterday", "created_at is not a time"),
        ("flow_alerts", "created_at", "2026-11-16T14:58:58", "created_at has no time zone"),
        ("flow_alerts", "created_at", "0001-01-01T00:00:00+14:00", "created_at is not a time"),
        ("flow_alerts", "created_at", Decimal("NaN"), "created_at is not a time"),
        ("flow_alerts", "created_at", LATE, "created_at is in the future"),
        ("flow_alerts", "volume", "1.5", "volume is not a whole number"),
        ("flow_alerts", "volume", None, "volume is missing"),
        ("flow_alerts", "volume", True, "volume is not a number"),
        ("flow_alerts", "volume", -1, "volume is negative"),
        ("flow_alerts", "volume", 10**18 + 1, "volume is not a usable number"),
        ("flow_alerts", "total_bid_side_prem", -1, "total_bid_side_prem is negative"),
        ("flow_alerts", "total_premium", True, "total_premium is not a number"),
        ("dark_pool", "canceled", True, "canceled"),
        ("dark_pool", "trade_settlement", "cash", "settlement is not regular"),
        ("dark_pool", "trade_settlement", ["regular"], "settlement is not regular"),
        ("dark_pool", "nbbo_ask", "273.06", "nbbo_bid is above nbbo_ask"),
        ("dark_pool", "executed_at", LATE, "executed_at is in the future"),
        ("market_tide", "net_put_premium", "NaN", "net_put_premium is not a usable number"),
        ("market_tide", "timestamp", LATE, "timestamp is in the future"),
        ("greek_exposure", "date", days(1), "date is in the future"),
        ("greek_exposure", "put_gamma", None, "put_gamma is missing"),
        ("iv_rank", "iv_rank_1y", "100.1", "iv_rank_1y is above 100"),
        ("iv_rank", "updated_at", LATE, "updated_at is in the future"),
        ("oi_change", "option_symbol", "AAPL", "option_symbol is not an OCC symbol"),
        ("oi_change", "curr_date", days(1), "curr_date is in the future"),
        ("congress", "ticker", None, "ticker is missing"),
        ("congress", "amounts", "some", "amounts is not a range of USD"),
        ("congress", "amounts", "$0", "amounts is not a range of USD"),
        ("congress", "filed_at_date", days(1), "filed_at_date is in the future"),
        ("short_interest", "market_date", days(1), "market_date is in the future"),
        ("short_interest", "total_float", 0, "total_float is zero"),
        ("short_interest", "days_to_cover", "-1", "days_to_cover is negative"),
        ("fails_to_deliver", "quantity", -1, "quantity is negative"),
        ("institutional", "filing_date", days(1), "filing_date is in the future"),
        ("sector_tide", "timestamp", "2026-11-16T15:00:06Z", "timestamp is in the future"),
        ("top_net_impact", "net_premium", None, "net_premium is missing"),
        ("fda_calendar", "start_date", "2026-Q4", "start_date is not a date"),
        ("fda_calendar", "end_date", days(3), "end_date is before start_date"),
        ("economic_calendar", "time", "soon", "time is not a time"),
        ("spot_gex", "time", "2026-11-16T15:00:06Z", "time is in the future"),
        ("max_pain", "max_pain", "0", "max_pain is zero"),
        ("realized_volatility", "unshifted_rv_date", days(1), "unshifted_rv_date is in the future"),
        ("realized_volatility", "realized_volatility", "-0.1", "realized_volatility is negative"),
        ("etf_flow", "date", days(1), "date is in the future"),
        ("market_breadth", "prev_close", "0", "prev_close is zero"),
        ("insider", "buy_sell", "gift", "buy_sell is neither buy nor sell"),
        ("insider", "date", days(1), "date is in the future"),
        ("net_prem_ticks", "tape_time", ago(-60).isoformat(), "tape_time is in the future"),
        ("term_structure", "volatility", "0", "volatility is zero"),
        ("risk_reversal", "delta", 10, "delta is not the requested one"),
        ("risk_reversal", "delta", -25, "delta is not the requested one"),
        ("earnings", "report_time", "teatime", "report_time has a value that the source doesn't document"),
    ],
)
def test_bad_row_is_rejected_with_its_reason(name: str, field: str, value: object, reason: str) -> None:
    intake = asked(name, {**GOOD[name], field: value})
    assert [row.reason for row in intake.rejected] == [reason]
    assert intake.facts == ()


@pytest.mark.parametrize(
    ("name", "field", "published_after", "gone_after"),
    [
        ("congress", "filed_at_date", 0, 30),
        ("short_interest", "market_date", 11, 56),
        ("fails_to_deliver", "date", 14, 45),
        ("institutional", "filing_date", 0, 100),
        ("realized_volatility", "unshifted_rv_date", 0, 7),
        ("etf_flow", "date", 0, 60),
    ],
)
def test_fact_counts_from_publication_until_too_old(
    name: str, field: str, published_after: int, gone_after: int
) -> None:
    row = {**GOOD[name], field: days(0)}
    counts = [
        summed_up(name, row, at=LATER, session=DAY + timedelta(days=age)) is not None
        for age in (published_after - 1, published_after, gone_after, gone_after + 1)
    ]
    assert counts == [False, True, True, False]


def test_short_interest_of_another_symbol_is_foreign() -> None:
    intake = asked("short_interest", {**GOOD["short_interest"], "symbol": "MSFT"}, GOOD["short_interest"])
    assert (intake.foreign, len(intake.facts)) == (1, 1)


@pytest.mark.parametrize("name", [name for name in GOOD if kind_of(name).scope is ReplyScope.MARKET])
def test_request_for_market_facts_is_the_same_for_every_symbol(name: str) -> None:
    assert kind_of(name).request("", DAY) == kind_of(name).request("AAPL", DAY)


def test_congress_trades_are_summed_by_the_middle_of_their_ranges() -> None:
    sale = {**GOOD["congress"], "txn_type": "Sale (Partial)", "amounts": "$1,001 - $15,000", "filed_at_date": days(-1)}
    gift = {**GOOD["congress"], "txn_type": "Exchange"}
    other = {**GOOD["congress"], "ticker": "BRKB", "amounts": "Over $50,000,000"}
    assert summed_up("congress", GOOD["congress"], sale, gift, other) == {
        "AAPL": CongressFacts(32_500.5, 8_000.5, 2, DAY - timedelta(days=1)),
        "BRKB": CongressFacts(50_000_000, 0, 1, DAY - timedelta(days=5)),
    }


def test_fails_to_deliver_are_the_mean_of_the_last_five_dates() -> None:
    balances = [{**GOOD["fails_to_deliver"], "date": days(-30 + day), "quantity": 100 * day} for day in range(1, 9)]
    assert summed_up("fails_to_deliver", *balances) == FailsFacts(600, DAY - timedelta(days=22), 5)


def test_institutional_purchases_and_sales_are_summed_separately() -> None:
    buyer = {**GOOD["institutional"], "name": "ANOTHER", "units_change": 2_000}
    found = summed_up("institutional", GOOD["institutional"], buyer)
    assert found == InstitutionalFacts(2_000, 500, 2, DAY - timedelta(days=20))


def test_symbol_that_left_the_net_impact_list_is_unknown() -> None:
    kind, earlier = kind_of("top_net_impact"), NOW - timedelta(minutes=9)
    before = asked("top_net_impact", GOOD["top_net_impact"], {"ticker": "TSLA", "net_premium": 9e9}, at=earlier).facts
    after = asked("top_net_impact", {"ticker": "MSFT", "net_premium": 2}, {"ticker": "AAPL", "net_premium": -4}).facts
    condensed = kind.condense([kind.lean(fact) for fact in (*after, *before)])
    assert condensed == {"MSFT": ImpactFacts(NOW, 2.0, 4.0), "AAPL": ImpactFacts(NOW, -4.0, 4.0)}


@pytest.mark.parametrize("name", ["fda_calendar", "economic_calendar", "max_pain"])
def test_event_taken_off_a_calendar_is_gone_the_next_day(name: str) -> None:
    kind, later = kind_of(name), NOW + timedelta(days=1)
    moved = {"fda_calendar": {"drug": "B"}, "economic_calendar": {"event": "B"}, "max_pain": {"expiry": days(9)}}[name]
    (old,), (new,) = asked(name, GOOD[name]).facts, asked(name, {**GOOD[name], **moved}, at=later).facts
    assert kind.condense([kind.lean(old), kind.lean(new)]) == kind.condense([kind.lean(new)])


def test_volatility_is_the_last_implied_and_the_last_measured_one() -> None:
    recent = {**GOOD["realized_volatility"], "date": days(-1), "realized_volatility": None, "unshifted_rv_date": None}
    older = {**GOOD["realized_volatility"], "date": days(-45), "unshifted_rv_date": days(-6), "realized_volatility": 9}
    rows = ({**recent, "implied_volatility": "0.25"}, older, GOOD["realized_volatility"])
    yesterday = DAY - timedelta(days=1)
    assert summed_up("realized_volatility", *rows) == VolatilityFacts(0.25, yesterday, 0.2, yesterday)


def test_fund_flow_is_measured_against_the_days_before_it() -> None:
    earlier = [{**GOOD["etf_flow"], "date": days(-3 - day), "change_prem": f"{4000 * day}"} for day in (1, 2)]
    found = summed_up("etf_flow", *earlier, GOOD["etf_flow"])
    assert found == EtfFlowFacts(DAY - timedelta(days=3), -12_000, 6_000, 2)


def test_breadth_counts_each_stock_of_the_last_date_once() -> None:
    closes = {"A": "190", "B": "189.70", "C": "191", "D": "1"}
    rows = [{**GOOD["market_breadth"], "ticker": ticker, "close": close} for ticker, close in closes.items()]
    old = {**GOOD["market_breadth"], "ticker": "E", "date": days(-1)}
    assert summed_up("market_breadth", *rows, old) == 0.25


YESTERDAY, TOMORROW = DAY - timedelta(days=1), NOW + timedelta(days=1)
DECEMBER, JANUARY = date(2026, 12, 18), date(2027, 1, 15)
CONTRACT = "AAPL261218C00100000"
OLD_RANK, NEW_RANK = (IvRank("d", "AAPL", day, Decimal(10), Decimal("0.2")) for day in (YESTERDAY, DAY))


def skew(days: int, value: float, expiry: date = JANUARY) -> tuple[date, date, float]:
    return (expiry, DAY - timedelta(days=days), value)


@pytest.mark.parametrize(
    ("name", "fact", "lean"),
    [
        ("dark_pool", dark_print("100.01", premium=Decimal("1234.5")), (ago(60), 1234.5, 1)),
        ("dark_pool", dark_print("100.00", premium=Decimal("1234.5")), (ago(60), 1234.5, 0)),
        ("dark_pool", dark_print("99.99", premium=Decimal("1234.5")), (ago(60), 1234.5, -1)),
        ("oi_change", OiChange("id", "AAPL", DAY, CONTRACT, Right.CALL, 300), (DAY, 300)),
        ("oi_change", OiChange("id", "AAPL", DAY, CONTRACT, Right.PUT, -100), (DAY, 100)),
        ("oi_change", OiChange("id", "AAPL", DAY, CONTRACT, Right.PUT, 200), (DAY, -200)),
    ],
)
def test_lean_fact_is_signed_by_its_direction(name: str, fact: object, lean: object) -> None:
    assert kind_of(name).lean(fact) == lean


@pytest.mark.parametrize(
    ("name", "lean"),
    [
        ("insider", (DAY - timedelta(days=4), False, 10)),
        ("net_prem_ticks", (ago(120), 2234.0, -11106.0, 822 + 186, 182 + 49)),
        ("term_structure", (DAY, 7, 0.2352)),
        ("risk_reversal", skew(0, 0.014, DECEMBER)),
        ("market_gamma", (DAY - timedelta(days=3), 3012060.6 - 1479461.8)),
    ],
)
def test_lean_fact_has_what_decisions_read_of_a_row(name: str, lean: object) -> None:
    (fact,) = asked(name, GOOD[name]).facts
    assert kind_of(name).lean(fact) == lean


@pytest.mark.parametrize(
    ("name", "leans", "facts"),
    [
        ("dark_pool", [(ago(60), 5.0, 1), (ago(120), 7.0, -1)], Prints((ago(120), ago(60)), (7.0, 5.0), (-7.0, 5.0))),
        (
            "greek_exposure",
            [(DAY, 9.0), (YESTERDAY, -6.0), (YESTERDAY - timedelta(days=1), 2.0)],
            GammaFacts(9.0, 4.0, 2, DAY),
        ),
        ("greek_exposure", [(DAY, 9.0)], GammaFacts(9.0, None, 0, DAY)),
        ("insider", [(YESTERDAY, True, 3), (DAY, False, 4), (YESTERDAY, True, 1)], InsiderFacts(4, 4, DAY)),
        ("iv_rank", [NEW_RANK, OLD_RANK], NEW_RANK),
        ("oi_change", [(DAY, 300), (YESTERDAY, 9_999), (DAY, -100)], OiFacts(200, 400, 2, DAY)),
        ("risk_reversal", [skew(1, 0.02)], SkewFacts(0.02, None, None, 0, YESTERDAY)),
        (
            "risk_reversal",
            [skew(1, 0.02, DECEMBER), skew(0, 0.5), skew(1, 0.125), skew(2, 0.25), skew(3, 0.375)],
            SkewFacts(0.5, 0.25, 0.25 / 3, 3, DAY),
        ),
    ],
)
def test_summary_of_facts_does_not_depend_on_their_order(name: str, leans: list[object], facts: object) -> None:
    assert kind_of(name).condense(leans) == kind_of(name).condense(leans[::-1]) == facts


def test_net_premium_of_a_session_is_the_exact_sum_of_its_minutes() -> None:
    row = GOOD["net_prem_ticks"]
    later = {**row, "tape_time": ago(60).isoformat(), "net_call_premium": "-3000", "net_put_premium": "0"}
    assert summed_up("net_prem_ticks", later, row, row) == NetPremFacts(
        ago(60), 2, -766.0, -11106.0, 2234.0 + 11106.0 + 3000.0, 2 * 1008, 2 * 231
    )


def test_insider_purchases_and_sales_of_one_day_are_two_unsigned_facts() -> None:
    sold, bought = asked("insider", GOOD["insider"], {**GOOD["insider"], "buy_sell": "buy", "premium": "-2"}).facts
    assert isinstance(sold, InsiderDay)
    assert isinstance(bought, InsiderDay)
    assert (sold.id, sold.premium, bought.premium) == (f"{days(-4)}/sell", Decimal(664386), Decimal(2))


def test_risk_reversal_is_asked_and_read_for_the_monthly_expiry_about_a_month_away() -> None:
    kind, late = kind_of("risk_reversal"), datetime(2026, 12, 2, 15, tzinfo=UTC)
    request = kind.request("AAPL", DAY)
    assert request.path == "/api/stock/AAPL/historical-risk-reversal-skew"
    assert request.params == {"expiry": "2026-12-18", "delta": "25", "timeframe": "2M"}
    assert kind.request("AAPL", late.date()).params["expiry"] == "2027-01-15"
    fact = kind.parse(GOOD["risk_reversal"], "AAPL", late)
    assert (fact.expiry, fact.id) == (JANUARY, "2027-01-15/2026-11-16")
    assert len(asked("risk_reversal", {**GOOD["risk_reversal"], "delta": "0.25"}).facts) == 1


def report(day: int, when: object = "postmarket") -> dict[str, object]:
    return {"report_date": days(day), "report_time": when}


def test_coming_report_counts_from_the_reply_and_a_past_one_from_its_day() -> None:
    kind, midnight = kind_of("earnings"), datetime(2026, 11, 17, 3, tzinfo=UTC)
    assert kind.moment(kind.parse(report(30), "AAPL", NOW)) == DAY
    assert kind.moment(kind.parse(report(-60), "AAPL", NOW)) == DAY - timedelta(days=60)
    assert kind.moment(kind.parse(report(30), "AAPL", midnight)) == DAY, "the day is New York's"


def test_next_report_is_the_first_coming_one_of_the_last_reply_also_at_an_unknown_time_of_day() -> None:
    kind = kind_of("earnings")
    assert summed_up("earnings", *map(report, (91, 0, -1, 4))) == EarningsFacts(DAY, "postmarket")
    early, moved = kind.parse(report(3), "AAPL", NOW), kind.parse(report(8, when="premarket"), "AAPL", TOMORROW)
    assert kind.condense([early, moved]) == EarningsFacts(moved.date, "premarket")
    for when, known in ((None, "unknown"), ("unknown", "unknown"), ("Premarket", "premarket")):
        assert summed_up("earnings", report(0, when=when)) == EarningsFacts(DAY, known)


FIRST = (
    "congress dark_pool earnings economic_calendar etf_flow fails_to_deliver fda_calendar flow_alerts "
    "greek_exposure insider institutional iv_rank market_breadth market_gamma market_tide market_volatility "
    "max_pain net_prem_ticks news oi_change options_volume realized_volatility risk_reversal sector_tide "
    "short_interest spot_gex term_structure top_net_impact"
)
"""The names in configurations and records since the first system, none of which may ever go."""


def test_no_name_of_a_kind_is_lost_and_each_file_of_a_subject_declares_those_of_its_rows() -> None:
    files = [path.stem for path in Path(subjects.__file__).parent.glob("[a-z]*.py")]
    declared = [one for file in files for one in vars(import_module(f"{subjects.__name__}.{file}")).values()]
    found = {one for one in declared if isinstance(one, Kind)}
    assert sorted(one.name for one in found) == sorted(kinds.SUBJECTS)
    assert {*map(kinds.kind_of, FIRST.split())} <= found


def test_a_kind_may_move_to_another_file_and_its_name_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kinds.kind_names()
    monkeypatch.setitem(sys.modules, f"{subjects.__name__}.moved", insiders)
    monkeypatch.setattr(kinds, "SUBJECTS", {**kinds.SUBJECTS, "congress": "moved", "other": "moved"})
    kinds.kind_names.cache_clear()
    assert {*kinds.kind_names()} == {*before, "other"}
    assert kinds.kind_of.__wrapped__("congress") is CONGRESS_KIND
    with pytest.raises(AssertionError, match=r"moved\.py has no kind other"):
        kinds.kind_of("other")
    monkeypatch.undo()
    kinds.kind_names.cache_clear()
    with pytest.raises(ValueError, match="moved"):
        kinds.checked_kind("moved")
