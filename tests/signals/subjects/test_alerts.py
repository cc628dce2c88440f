"""Alerts: how they are read, which of them count, and what they add up to against the usual premium."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.source_rows import JUNK, NO_QUOTA, captured, world
from tests.kit.values import DAY, NOW, ago, alert, fetched_facts
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowAlert, FlowPage, FlowWindow, Intake
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.signals.normalize import normalize
from tradebot.signals.subjects.alerts import (
    FLOW_ALERTS_KIND,
    MOST,
    OPTIONS_VOLUME_KIND,
    SESSIONS,
    OptionsVolumeFacts,
    contracts_behind,
    counting,
    flow,
    flow_now,
    recent_alerts,
    sizes,
)

TEN_MINUTES = timedelta(seconds=600)


@st.composite
def many_alerts(draw: st.DrawFn) -> list[FlowAlert]:
    shapes = st.tuples(st.sampled_from(Right), st.integers(0, 4000), st.sampled_from([0, 400_000, 800_000]))
    return [
        replace(alert(n, right), at=alert(1).at + timedelta(seconds=second), bid_premium=Decimal(bid))
        for n, (right, second, bid) in enumerate(draw(st.lists(shapes, max_size=25)))
    ]


@given(alerts=many_alerts())
def test_each_directional_alert_is_in_exactly_one_cluster(alerts: list[FlowAlert]) -> None:
    for sign in (1, -1):
        found = sizes(alerts, TEN_MINUTES, sign)
        assert sum(found) == sum(each.sign == sign for each in alerts)
        assert min(found, default=1) > 0


@given(alerts=many_alerts(), sign=st.sampled_from([1, -1]))
def test_cluster_lies_within_its_window_and_the_next_begins_after_it(alerts: list[FlowAlert], sign: int) -> None:
    left = sorted(each.at for each in alerts if each.sign == sign)
    for size in sizes(alerts, TEN_MINUTES, sign):
        assert left[size - 1] - left[0] <= TEN_MINUTES
        assert all(at - left[0] > TEN_MINUTES for at in left[size:])
        left = left[size:]
    assert not left


@given(alerts=many_alerts())
def test_cluster_sizes_do_not_depend_on_the_order_of_alerts(alerts: list[FlowAlert]) -> None:
    assert sizes(alerts, TEN_MINUTES, 1) == sizes(alerts[::-1], TEN_MINUTES, 1)


alerts = st.lists(
    st.builds(
        lambda number, contract, ask, bid: alert(
            number, contract=contract, ask_premium=Decimal(ask), bid_premium=Decimal(bid)
        ),
        st.integers(1, 9),
        st.sampled_from("ABCDEFGH"),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)


@given(known=alerts, direction=st.sampled_from([-1, 1]))
def test_each_alert_in_the_direction_counts_for_its_contract_only(known: list[FlowAlert], direction: int) -> None:
    found = contracts_behind(known, direction)
    leaning = [one for one in known if one.sign == direction]
    assert len(found) == min(MOST, len({one.contract for one in leaning}))
    assert [abs(one.net_premium) for one in found] == sorted((abs(one.net_premium) for one in found), reverse=True)
    for one in found:
        its = [each for each in leaning if each.contract == one.symbol]
        assert set(one.alerts) == {each.id for each in its}
        assert one.net_premium == sum(each.net_premium for each in its)
        assert one.net_premium * direction > 0


def test_spread_and_cost_are_those_of_the_newest_alert() -> None:
    older = alert(2, contract="C", bid=Decimal(1), ask=Decimal(3), volume=10)
    newer = alert(1, contract="C", bid=Decimal("1.9"), ask=Decimal("2.1"), volume=90, has_sweep=True)
    (found,) = contracts_behind([older, newer], 1)
    assert (found.spread_fraction, found.cost_usd, found.volume) == (Decimal("0.1"), Decimal("210.0"), 90)
    assert (found.at, found.alerts, found.sweep) == (ago(60), ("alert-1", "alert-2"), True)


def test_contract_without_a_quote_has_no_spread_and_no_cost() -> None:
    (found,) = contracts_behind([alert(contract="")], 1)
    assert (found.spread_fraction, found.cost_usd) == (None, None)
    assert found.symbol == "call 100 2026-11-26"


FILTERS = {"min_premium": 50_000, "min_dte": 0, "max_dte": 45, "is_multi_leg": False}
WINDOW = FlowWindow(timedelta(seconds=1800), FILTERS, 0.005, 5)
SCALE = 1_500_000.0
money = st.decimals(0, 10**9, places=2)
alerts_lists = st.lists(
    st.builds(
        lambda right, ask, bid: alert(1, right, ask_premium=ask, bid_premium=bid), st.sampled_from(Right), money, money
    ),
    max_size=8,
)


def swapped(right: Right) -> Right:
    return Right.PUT if right is Right.CALL else Right.CALL


@given(alerts=alerts_lists)
def test_flow_is_in_range_and_mirrors_calls_with_puts_and_ask_with_bid(alerts: list[FlowAlert]) -> None:
    value = flow(alerts, SCALE)
    assert -1 <= value <= 1
    assert flow([replace(a, right=swapped(a.right)) for a in alerts], SCALE) == -value
    turned = [replace(a, ask_premium=a.bid_premium, bid_premium=a.ask_premium) for a in alerts]
    assert flow(turned, SCALE) == -value


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"at": ago(1799)}, True),
        ({"at": ago(1800)}, False),
        ({"premium": Decimal(49_999)}, False),
        ({"premium": Decimal(50_000)}, True),
        ({"expiry": DAY - timedelta(days=1)}, False),
        ({"expiry": DAY}, True),
        ({"expiry": DAY + timedelta(days=45)}, True),
        ({"expiry": DAY + timedelta(days=46)}, False),
        ({"has_multileg": True}, False),
    ],
)
def test_alert_counts_if_recent_large_unexpired_near_and_single_leg(change: dict[str, object], counts: bool) -> None:
    facts = SymbolFacts("AAPL", {"flow_alerts": (alert(1, **change),)})
    assert bool(recent_alerts(facts, counting(NOW, WINDOW)).alerts) is counts


def known(premium: float, sessions: int = 5, *alerts: FlowAlert) -> SymbolFacts:
    of_kind = {"flow_alerts": alerts, "options_volume": OptionsVolumeFacts(premium, sessions)}
    return fetched_facts("AAPL", known=of_kind)


def test_flow_is_measured_against_the_symbols_usual_premium() -> None:
    now = counting(NOW, WINDOW)
    large, small = (flow_now(known(usual, 5, alert()), now).value for usual in (300_000_000, 3_000_000))
    assert large == pytest.approx(400_000 / 1_900_000)
    assert small == pytest.approx(400_000 / 415_000)


@pytest.mark.parametrize(
    "facts",
    [
        fetched_facts("AAPL", known={"flow_alerts": (alert(),)}),
        known(300_000_000, 4, alert()),
        known(0, 20, alert()),
        replace(known(300_000_000, 5, alert()), alerts_fetched_at=None),
        replace(known(300_000_000, 5, alert()), received=10, foreign=10),
    ],
    ids=["nothing usual known", "too few sessions", "usually no premium", "never fetched", "other tickers only"],
)
def test_flow_is_unknown_without_a_usual_premium_or_a_usable_reply(facts: SymbolFacts) -> None:
    assert flow_now(facts, counting(NOW, WINDOW)).value is None


def test_fetched_without_alerts_is_a_flow_of_zero() -> None:
    assert flow_now(known(300_000_000), counting(NOW, WINDOW)).value == 0


@given(alerts_lists, st.integers(-6, 6))
def test_multiplying_all_premiums_changes_nothing(alerts: list[FlowAlert], power: int) -> None:
    # A power of two, so that no rounding hides or makes a difference.
    by = 2.0**power
    more = [
        replace(a, ask_premium=a.ask_premium * Decimal(by), bid_premium=a.bid_premium * Decimal(by)) for a in alerts
    ]
    assert flow(more, SCALE * by) == pytest.approx(flow(alerts, SCALE), rel=1e-12, abs=1e-12)


@given(alerts_lists, money.filter(bool))
def test_one_more_bullish_alert_never_lowers_the_flow(alerts: list[FlowAlert], usd: Decimal) -> None:
    assert flow([*alerts, alert(1, ask_premium=usd)], SCALE) >= flow(alerts, SCALE) - 1e-12


@given(alerts_lists, st.randoms())
def test_flow_does_not_depend_on_the_order_of_alerts(alerts: list[FlowAlert], random: Random) -> None:
    shuffled = random.sample(alerts, len(alerts))
    assert flow(shuffled, SCALE) == flow(alerts, SCALE)


def test_flow_is_unknown_if_the_reply_is_as_old_as_the_lookback() -> None:
    window, usual = WINDOW, {"options_volume": OptionsVolumeFacts(300_000_000.0, 20)}
    for age_s, known in ((window.lookback.total_seconds() - 1, True), (window.lookback.total_seconds(), False)):
        facts = fetched_facts("AAPL", alerts_fetched_at=ago(age_s), known=usual)
        assert (flow_now(facts, counting(NOW, window)).value is not None) is known


ONE_BY_ONE = replace(FLOW_ALERTS_KIND, parse_all=None)


def read(kind: AnyKind, rows: Sequence[object], at: datetime = NOW, symbol: str | None = "AAPL") -> Intake:
    return normalize(kind, FlowPage(FLOW_ALERTS_KIND.name, symbol, tuple(rows), NO_QUOTA), at)


def test_alerts_are_kept_whole_and_come_oldest_first() -> None:
    assert FLOW_ALERTS_KIND.condense([FLOW_ALERTS_KIND.lean(alert(number)) for number in (1, 3, 2)]) == (
        alert(3),
        alert(2),
        alert(1),
    )


@given(seed=st.integers(0, 2**32))
def test_alerts_read_at_once_are_those_read_one_by_one(seed: int) -> None:
    rows = world(seed, names=[FLOW_ALERTS_KIND.name])[FLOW_ALERTS_KIND.name]
    assert repr(read(FLOW_ALERTS_KIND, rows)) == repr(read(ONE_BY_ONE, rows))


@pytest.mark.parametrize("name", FLOW_ALERTS_KIND.fields)
def test_alerts_with_a_field_that_is_odd_or_gone_are_read_alike(name: str) -> None:
    rows = world(7, names=[FLOW_ALERTS_KIND.name])[FLOW_ALERTS_KIND.name]
    cases = [[{key: value for key, value in row.items() if key != name} for row in rows]]
    for value in JUNK:
        cases += [[row | {name: value} for row in rows], [rows[0] | {name: value}, *rows[1:]]]
    for changed in cases:
        assert len(changed) > 2
        assert repr(read(FLOW_ALERTS_KIND, changed)) == repr(read(ONE_BY_ONE, changed))


def test_captured_alerts_are_read_at_once() -> None:
    rows = captured("live/option_flow_alerts.json")["response"]["data"]
    at = datetime(2025, 12, 27, 2, 18, 51, tzinfo=UTC)
    found = read(
        replace(FLOW_ALERTS_KIND, parse=lambda row, symbol, at: pytest.fail("read one by one")), rows, at, None
    )
    assert len(found.facts) == 50
    assert found == read(ONE_BY_ONE, rows, at, None)


ROW = {
    "date": DAY.isoformat(),
    "call_premium": "208699280",
    "put_premium": "125472872.5",
    "bullish_premium": "152015294",
    "bearish_premium": "138449839",
}

usual = st.tuples(st.dates(), st.floats(0, 1e12), st.booleans())
by_day = st.lists(usual, min_size=1, max_size=30, unique_by=lambda session: session[0])


def test_premium_of_a_session_sums_calls_and_puts_and_is_done_after_the_close() -> None:
    before, after = NOW, datetime(2026, 11, 16, 21, 15, tzinfo=UTC)
    leans = [
        OPTIONS_VOLUME_KIND.lean(OPTIONS_VOLUME_KIND.parse(ROW, "AAPL", at))
        for at in (before, after, NOW + timedelta(days=1))
    ]
    assert leans == [(DAY, 334172152.5, done) for done in (False, True, True)]


@given(sessions=by_day, chance=st.randoms())
def test_usual_premium_is_the_median_of_past_sessions(sessions: list[tuple[date, float, bool]], chance: object) -> None:
    facts = OPTIONS_VOLUME_KIND.condense(sessions)
    done = sorted(session for session in sessions if session[2])[-SESSIONS:]
    assert facts.sessions == len(done)
    assert facts.trailing_premium_usd == (median(premium_usd for _, premium_usd, _ in done) if done else 0)
    shuffled = sessions.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert OPTIONS_VOLUME_KIND.condense(shuffled) == facts


def test_only_the_last_twenty_finished_sessions_count() -> None:
    sessions = [(DAY - timedelta(days=age), float(age), age > 0) for age in range(30)]
    assert OPTIONS_VOLUME_KIND.condense(sessions) == OptionsVolumeFacts(10.5, SESSIONS)
