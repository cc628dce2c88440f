"""What commissions, borrowed cash, idle cash and short positions cost and earn: by hand, and as laws."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tests.kit.pit import HUNDRED, Bars, Pit, bar_of
from papervenue.engine.account import Activity
from papervenue.engine.engine import Engine
from papervenue.events import Event
from papervenue.faces.activity_event import activity_event_json
from papervenue.market.bars import Bar, Market
from papervenue.market.rates import NO_RATES, Rates
from papervenue.market.sessions import Calendar, session_of
from papervenue.market.spec import FUNDS, NEXT_BAR, PAPER, Costs
from papervenue.shares.amending import bust, correct
from papervenue.shares.charges import commission
from papervenue.shares.dialect import ALPACA
from papervenue.times import MINUTE, at_new_york, rfc3339

DAYS = ("2025-02-26", "2025-02-27", "2025-02-28", "2025-03-03", "2025-03-04", "2025-03-05")
"""A Wednesday that is history, two sessions, a weekend, another month's three sessions, the last of which is ahead."""
CALENDAR = Calendar([session_of((day, at_new_york(day, 9, 30), at_new_york(day, 16))) for day in DAYS], 1, 4)
WHOLE = PAPER._replace(partial_rate=Decimal(0))
TEN_BPS = Costs(commission_bps=Decimal(10))
RATES = Rates.of({"2025-02-27": Decimal("0.05"), "2025-03-01": Decimal("0.02"), "2025-03-03": Decimal("0.04")})


class Still(Bars):
    """A bar source in which one share costs a hundred dollars, but for the sessions that are given another price."""

    def __init__(self, prices: Mapping[int, float]) -> None:
        self._prices = prices

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        session = CALENDAR.market[index]
        price = self._prices.get(index, 100.0)
        return tuple(bar_of(us, price) for us in (session.open_us, session.close_us - MINUTE))


class Nights:
    """An account at the first session's open, and what it was told of overnight."""

    def __init__(self, costs: Costs, shares: str = "0", rates: Rates = NO_RATES, **prices: float) -> None:
        self.events: list[Event] = []
        market = Market(Still({int(name[1:]): price for name, price in prices.items()}), CALENDAR, ("AAA",))
        start_us = CALENDAR.market[0].open_us
        self.engine = Engine(market, start_us, self.events.append, NEXT_BAR, "nights", costs, rates, dialect=ALPACA)
        self.account = self.engine.open_account("main", "key", "secret", Decimal(100_000))
        if Decimal(shares):
            self.account.apply("AAA", Decimal(shares), HUNDRED)
        self.began = self.account.cash

    def until(self, session: int, hour: int = 9) -> list[tuple[str, str, str]]:
        """Let time pass until an hour of a session's day, and return all that was posted: when, code and amount."""
        self.engine.advance(at_new_york(CALENDAR.market[session].date, hour))
        rows = [one for one in self.account.activities if isinstance(one, Activity)]
        assert self.account.cash == self.began + sum(one.net_amount for one in rows)
        return [
            (rfc3339(one.at_us)[5:16], f"{one.kind}/{one.sub_type} {one.description}", str(one.net_amount))
            for one in rows
        ]


def posted(pit: Pit) -> list[tuple[str, str | None, Decimal]]:
    rows = [one for one in pit.account.activities if isinstance(one, Activity)]
    return [(one.kind, one.symbol, one.net_amount) for one in rows]


def test_an_order_pays_its_commission_with_each_fill() -> None:
    pit = Pit(costs=Costs(commission_bps=Decimal(10), commission_per_share_usd=Decimal("0.005")))
    order = pit.order("buy", 1500)
    pit.pass_minutes(2)
    # A thousand shares at 100.01 and five hundred: 100.01 + 5, and 50.005 + 2.50, which makes 157.515 in all.
    assert posted(pit) == [("FEE", "AAA", Decimal("-105.01")), ("FEE", "AAA", Decimal("-52.51"))]
    assert pit.account.cash == 100_000 - order.filled_usd - Decimal("157.52")
    logged = [event.fields for event in pit.events if event.name == "activity"]
    assert [(one["activity_type"], one["net_amount"], one["symbol"]) for one in logged] == [
        ("FEE", "-105.01", "AAA"),
        ("FEE", "-52.51", "AAA"),
    ]


def test_the_stream_says_what_a_fee_is_for() -> None:
    pit = Pit(spec=WHOLE, costs=TEN_BPS)
    pit.order("buy", 10)
    fill, fee = pit.account.activities
    event = activity_event_json(pit.engine, pit.account, 1, "event")
    assert (event["activity_type"], event["activity_subtype"], event["net_amount"]) == ("FEE", "COM", "-1")
    assert event["details"]["parent_id"] == fill.id.rpartition("::")[2] != fee.id.rpartition("::")[2]
    nights = Nights(Costs(borrow_fee_rate=Decimal("0.1"), cash_rate=Decimal("0.1")), "-100")
    nights.until(1)
    interest, borrow = [activity_event_json(nights.engine, nights.account, index, "event") for index in (0, 1)]
    assert interest["details"] == {"system_date": "2025-02-28"}
    assert borrow["details"]["parent_id"] == borrow["ref_id"]


def test_the_smallest_commission_is_paid_once_by_an_order_that_fills_and_by_no_other() -> None:
    pit = Pit(spec=WHOLE, costs=TEN_BPS._replace(commission_min_usd=Decimal("1.50")))
    pit.order("buy", 1, symbol="BBB", limit=90)
    assert posted(pit) == []
    pit.order("buy", 10)
    pit.order("sell", 10)
    assert [paid for _, _, paid in posted(pit)] == [Decimal("-1.50"), Decimal("-1.50")]
    shared = Pit({10: (100.0, 50), 11: (100.0, 50)}, costs=TEN_BPS._replace(commission_min_usd=Decimal("0.70")))
    shared.order("buy", 10)
    shared.pass_minutes(2)
    # Five shares would cost 0.50, ten of them 1.00.
    assert [paid for _, _, paid in posted(shared)] == [Decimal("-0.70"), Decimal("-0.30")]


def test_a_replacement_pays_only_for_what_it_adds() -> None:
    pit = Pit({10: (100.0, 50)}, costs=Costs(commission_min_usd=Decimal(1), commission_bps=Decimal(1)))
    order = pit.order("buy", 10, limit=101)
    pit.pass_minutes(1)
    assert order.filled_qty == 5
    pit.replace(order, qty=20)
    pit.pass_minutes(1)
    assert posted(pit) == [("FEE", "AAA", Decimal("-1.00"))]


def test_a_busted_or_corrected_execution_takes_its_commission_along() -> None:
    pit = Pit(spec=WHOLE, costs=TEN_BPS)
    for _ in range(2):
        pit.order("buy", 100)
    first, _, second, _ = list(pit.account.activities)
    bust(pit.engine, pit.account, first.id)
    correct(pit.engine, pit.account, second.id, Decimal(50), None)
    assert [paid for _, _, paid in posted(pit)] == [Decimal(amount) for amount in ("-10.00", "-10.00", "10.00", "5.00")]


@given(
    parts=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**7)), min_size=1, max_size=6),
    bps=st.decimals(0, 1000, places=2),
    per_share=st.decimals(0, 1, places=4),
    least=st.decimals(0, 20, places=2),
)
def test_the_parts_of_a_commission_are_the_whole_to_the_cent(
    parts: list[tuple[int, int]], bps: Decimal, per_share: Decimal, least: Decimal
) -> None:
    costs = Costs(commission_bps=bps, commission_per_share_usd=per_share, commission_min_usd=least)
    qty = value = paid = Decimal(0)
    for shares, units in parts:
        before = commission(costs, qty, value)
        qty, value = qty + shares, value + shares * Decimal(units).scaleb(-4)
        paid += commission(costs, qty, value) - before
    exact = Fraction(value) * Fraction(bps) / 10_000 + Fraction(qty) * Fraction(per_share)
    assert paid == commission(costs, qty, value) >= least
    assert abs(Fraction(paid) - max(exact, Fraction(least))) <= Fraction(1, 200)


MARGIN = Costs(margin_rate=Decimal("0.05"))
EARNING = Costs(cash_rate=Decimal("0.036"), borrow_fee_rate=Decimal("0.012"), short_rebate_rate=Decimal("0.0072"))
FUNDED = Costs(margin_rate=FUNDS, margin_spread=Decimal("0.015"), rates_path="rates.csv")
ONE_DAY, WEEKEND, TUESDAY = "02-28T09:00", "03-03T09:00", "03-04T09:00"
Posted = tuple[str, str, str]
NIGHTS: dict[str, tuple[Costs, str, dict[str, float], int, list[Posted]]] = {
    "borrowed cash costs interest for each night and a weekend has three": (
        MARGIN,
        "1250",
        {},
        3,
        [
            # 25,000 * 0.05 / 360 = 3.4722; the rest is carried: 0.0022
            (ONE_DAY, "INT/MGN margin interest to 2025-02-27", "-3.47"),
            # 25,003.47 * 0.05 * 3 / 360 = 10.4181, and 0.0022 make 10.4203
            (WEEKEND, "INT/MGN margin interest to 2025-03-02", "-10.42"),
            # 25,013.89 * 0.05 / 360 = 3.4742, and 0.0003 make 3.4745
            (TUESDAY, "INT/MGN margin interest to 2025-03-03", "-3.47"),
        ],
    ),
    "cash earns but proceeds of short sales are collateral": (
        EARNING,
        "-100",
        {"s0": 150},
        2,
        [
            # The short is worth 15,000 at the close: of 110,000 in cash, 95,000 earn interest.
            (ONE_DAY, "INT/CDT interest on cash to 2025-02-27", "9.50"),
            (ONE_DAY, "FEE/BRW stock borrow fee to 2025-02-27", "-0.50"),
            (ONE_DAY, "INT/CDT short rebate to 2025-02-27", "0.30"),
            # At 100 again it is 100,009.30 and 10,000, for three nights; thousandths of 30.00279 are carried.
            (WEEKEND, "INT/CDT interest on cash to 2025-03-02", "30.00"),
            (WEEKEND, "FEE/BRW stock borrow fee to 2025-03-02", "-1.00"),
            (WEEKEND, "INT/CDT short rebate to 2025-03-02", "0.60"),
        ],
    ),
    "a short worth more than the cash is financed at the margin rate": (
        Costs(margin_rate=Decimal("0.36"), cash_rate=Decimal("0.5")),
        "-100",
        {"s0": 1200},
        1,
        [(ONE_DAY, "INT/MGN margin interest to 2025-02-27", "-10.00")],
    ),
    # 25,000 * 0.065 / 360
    "a margin rate of funds adds its spread": (
        FUNDED,
        "1250",
        {},
        1,
        [(ONE_DAY, "INT/MGN margin interest to 2025-02-27", "-4.51")],
    ),
    # Four nights on 25,000 at once: 13.8889
    "monthly interest is posted before the first session of a month": (
        MARGIN._replace(posted="month"),
        "1250",
        {},
        3,
        [(WEEKEND, "INT/MGN margin interest to 2025-03-02", "-13.88")],
    ),
    "nothing is charged where nothing costs": (Costs(), "-100", {}, 3, []),
}


@pytest.mark.parametrize(("costs", "shares", "prices", "until", "posted"), NIGHTS.values(), ids=NIGHTS)
def test_nights_cost_and_earn_what_the_rates_say(
    costs: Costs, shares: str, prices: dict[str, float], until: int, posted: list[Posted]
) -> None:
    nights = Nights(costs, shares, rates=RATES, **prices)
    assert nights.until(until) == posted
    assert bool(nights.account.accrued) == costs.interest


@pytest.mark.parametrize(
    ("spread", "earned"),
    [
        # 100,000 * 0.05 / 360 = 13.8889; then a night at 0.05 and two at 0.02 on 100,013.88, with the 0.0089 carried
        ("0", ["13.88", "25.01"]),
        ("-0.03", ["5.55", "5.56"]),
        ("-0.06", []),
    ],
)
def test_the_funds_rate_of_each_day_counts_with_its_spread_but_not_below_zero(spread: str, earned: list[str]) -> None:
    nights = Nights(Costs(cash_rate=FUNDS, cash_spread=Decimal(spread), rates_path="rates.csv"), rates=RATES)
    assert [amount for _, _, amount in nights.until(2)] == earned


RATE = st.decimals(0, 1, places=4)


@given(
    shares=st.sampled_from(["-900", "-150", "-0.5", "0", "333.333333333", "1000", "1850"]),
    prices=st.lists(st.integers(1, 400), min_size=4, max_size=4),
    rates=st.tuples(RATE, RATE, RATE, RATE),
    monthly=st.booleans(),
)
def test_what_is_posted_is_what_has_accrued_to_the_cent(
    shares: str, prices: list[int], rates: tuple[Decimal, Decimal, Decimal, Decimal], monthly: bool
) -> None:
    names = ("margin_rate", "cash_rate", "borrow_fee_rate", "short_rebate_rate")
    costs = Costs(**dict(zip(names, rates, strict=True)), posted="month" if monthly else "session")  # type: ignore[arg-type]
    nights = Nights(costs, shares, s0=prices[0], s1=prices[1], s2=prices[2], s3=prices[3])
    exact = Fraction(0)
    for session, count in enumerate((1, 3, 1)):
        nights.until(session, 20)
        worth = min(Fraction(shares), Fraction(0)) * prices[session]
        free = Fraction(nights.account.cash) + worth
        margin, cash, borrow, rebate = map(Fraction, rates)
        daily = min(free, Fraction(0)) * margin + max(free, Fraction(0)) * cash + worth * borrow - worth * rebate
        exact += daily * count / 360
    rows = nights.until(3)
    left = nights.account.accrued
    open_amount = left.get("cash", 0) + left.get("rebate", 0) - left.get("margin", 0) - left.get("borrow", 0)
    assert abs(sum(Fraction(amount) for _, _, amount in rows) + Fraction(open_amount) / 360 - exact) < Fraction(
        1, 10**9
    )
    if not monthly:
        assert all(0 <= amount < Decimal("3.6") for amount in left.values())
    assert all(Decimal(amount) == Decimal(amount).quantize(Decimal("0.01")) for _, _, amount in rows)
