"""Kinds of facts beyond alerts, prints and tides: rows in the source's shapes, what they say, and from when on."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import DAY, NOW
from tests.signals.enriched import GOOD, asked, days, example, summed_up, varied
from tradebot.model.kind import Scope
from tradebot.signals.kinds import kind_of
from tradebot.signals.kinds.congress import CongressFacts
from tradebot.signals.kinds.etf_flow import EtfFlowFacts
from tradebot.signals.kinds.fails_to_deliver import FailsFacts
from tradebot.signals.kinds.institutional import InstitutionalFacts
from tradebot.signals.kinds.market_breadth import BreadthFacts
from tradebot.signals.kinds.realized_volatility import VolatilityFacts
from tradebot.signals.kinds.top_net_impact import ImpactFacts

LATER = NOW + timedelta(days=400)
FILES = {
    "congress": "congress__recent-trades.json",
    "short_interest": "shorts__ticker__interest-float__v2.json",
    "fails_to_deliver": "shorts__ticker__ftds.json",
    "institutional": "institution__ticker__ownership.json",
    "sector_tide": "market__sector__sector-tide.json",
    "economic_calendar": "market__economic-calendar.json",
    "spot_gex": "stock__ticker__spot-exposures.json",
    "max_pain": "stock__ticker__max-pain.json",
    "realized_volatility": "stock__ticker__volatility__realized.json",
    "etf_flow": "etfs__ticker__in-outflow.json",
    "market_breadth": "screener__stocks.json",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_row_becomes_one_fact_that_counts_today(name: str) -> None:
    intake = asked(name, GOOD[name])
    assert (len(intake.facts), intake.rejected) == (1, ())
    assert summed_up(name, GOOD[name]) is not None


@pytest.mark.parametrize("name", [name for name in GOOD if name not in {"market_breadth", "market_gamma", "earnings"}])
def test_a_row_has_the_fields_that_the_kind_documents(name: str) -> None:
    assert GOOD[name].keys() == kind_of(name).fields.keys()


@pytest.mark.parametrize("name", FILES)
def test_the_sources_own_examples_are_read_without_loss(name: str) -> None:
    rows = example(FILES[name])
    assert {frozenset(row) for row in rows} == {frozenset(kind_of(name).fields)}
    for row in rows:
        if "symbol" in row:
            row["symbol"] = "AAPL"
    intake = asked(name, *rows, at=LATER)
    assert (len(intake.facts), intake.rejected) == (len(rows), ())


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=8)
@given(data=st.data())
def test_the_order_of_rows_and_duplicates_change_nothing(name: str, data: st.DataObject) -> None:
    rows = data.draw(varied(name))
    # Of two different rows with one identity, the source means the last one.
    by_identity = {fact.id: row for row in rows for fact in asked(name, row).facts}
    once = list(by_identity.values())
    assert summed_up(name, *data.draw(st.permutations(once * 2))) == summed_up(name, *once)


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.none(), max_size=1)
)


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=8)
@given(data=st.data())
def test_whatever_a_row_holds_it_is_read_or_counted(name: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(GOOD[name])))
    broken = {**GOOD[name], field: data.draw(ANYTHING)}
    intake = asked(name, broken)
    assert len(intake.facts) + len(intake.rejected) + intake.foreign == 1
    summed_up(name, broken, GOOD[name])


@pytest.mark.parametrize(
    ("name", "field", "value", "reason"),
    [
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
    ],
)
def test_a_bad_row_is_counted_with_its_reason(name: str, field: str, value: object, reason: str) -> None:
    intake = asked(name, {**GOOD[name], field: value})
    assert [row.reason for row in intake.rejected] == [reason]


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
def test_a_fact_counts_from_its_publication_on_until_it_says_nothing_any_more(
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


@pytest.mark.parametrize("name", [name for name in GOOD if kind_of(name).scope is Scope.MARKET])
def test_what_is_about_the_market_is_asked_once(name: str) -> None:
    assert kind_of(name).request("", DAY) == kind_of(name).request("AAPL", DAY)


def test_purchases_and_sales_are_summed_up_by_the_middle_of_their_ranges() -> None:
    sale = {**GOOD["congress"], "txn_type": "Sale (Partial)", "amounts": "$1,001 - $15,000", "filed_at_date": days(-1)}
    gift = {**GOOD["congress"], "txn_type": "Exchange"}
    other = {**GOOD["congress"], "ticker": "BRKB", "amounts": "Over $50,000,000"}
    assert summed_up("congress", GOOD["congress"], sale, gift, other) == {
        "AAPL": CongressFacts(32_500.5, 8_000.5, 2, DAY - timedelta(days=1)),
        "BRKB": CongressFacts(50_000_000, 0, 1, DAY - timedelta(days=5)),
    }


def test_the_balance_of_undelivered_shares_is_the_mean_of_the_last_five_dates() -> None:
    balances = [{**GOOD["fails_to_deliver"], "date": days(-30 + day), "quantity": 100 * day} for day in range(1, 9)]
    assert summed_up("fails_to_deliver", *balances) == FailsFacts(600, DAY - timedelta(days=22), 5)


def test_shares_that_institutions_bought_and_sold_are_kept_apart() -> None:
    buyer = {**GOOD["institutional"], "name": "ANOTHER", "units_change": 2_000}
    found = summed_up("institutional", GOOD["institutional"], buyer)
    assert found == InstitutionalFacts(2_000, 500, 2, DAY - timedelta(days=20))


def test_a_symbol_that_left_the_list_of_net_impact_is_no_longer_known() -> None:
    kind, earlier = kind_of("top_net_impact"), NOW - timedelta(minutes=9)
    before = asked("top_net_impact", GOOD["top_net_impact"], {"ticker": "TSLA", "net_premium": 9e9}, at=earlier).facts
    after = asked("top_net_impact", {"ticker": "MSFT", "net_premium": 2}, {"ticker": "AAPL", "net_premium": -4}).facts
    condensed = kind.condense([kind.lean(fact) for fact in (*after, *before)])
    assert condensed == {"MSFT": ImpactFacts(NOW, 2.0, 4.0), "AAPL": ImpactFacts(NOW, -4.0, 4.0)}


@pytest.mark.parametrize("name", ["fda_calendar", "economic_calendar", "max_pain"])
def test_what_was_taken_off_a_calendar_is_gone_the_next_day(name: str) -> None:
    kind, later = kind_of(name), NOW + timedelta(days=1)
    moved = {"fda_calendar": {"drug": "B"}, "economic_calendar": {"event": "B"}, "max_pain": {"expiry": days(9)}}[name]
    (old,), (new,) = asked(name, GOOD[name]).facts, asked(name, {**GOOD[name], **moved}, at=later).facts
    assert kind.condense([kind.lean(old), kind.lean(new)]) == kind.condense([kind.lean(new)])


def test_volatility_is_the_last_that_was_implied_and_the_last_that_was_measured() -> None:
    recent = {**GOOD["realized_volatility"], "date": days(-1), "realized_volatility": None, "unshifted_rv_date": None}
    older = {**GOOD["realized_volatility"], "date": days(-45), "unshifted_rv_date": days(-6), "realized_volatility": 9}
    rows = ({**recent, "implied_volatility": "0.25"}, older, GOOD["realized_volatility"])
    yesterday = DAY - timedelta(days=1)
    assert summed_up("realized_volatility", *rows) == VolatilityFacts(0.25, yesterday, 0.2, yesterday)


def test_a_fund_flow_is_measured_against_the_days_before_it() -> None:
    earlier = [{**GOOD["etf_flow"], "date": days(-3 - day), "change_prem": f"{4000 * day}"} for day in (1, 2)]
    found = summed_up("etf_flow", *earlier, GOOD["etf_flow"])
    assert found == EtfFlowFacts(DAY - timedelta(days=3), -12_000, 6_000, 2)


def test_breadth_counts_each_stock_of_the_last_date_once() -> None:
    closes = {"A": "190", "B": "189.70", "C": "191", "D": "1"}
    rows = [{**GOOD["market_breadth"], "ticker": ticker, "close": close} for ticker, close in closes.items()]
    old = {**GOOD["market_breadth"], "ticker": "E", "date": days(-1)}
    found = summed_up("market_breadth", *rows, old)
    assert found == BreadthFacts(DAY, 2, 1, 4)
    assert found.breadth == 0.25
