"""The auction keeps what is worth most within its limits, and closes a position only for a clearly better candidate."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW
from tradebot.gates.auction import (
    Auction,
    Bid,
    BidRuling,
    Caps,
    Ruling,
    hold_auction,
    value_of_candidate,
    value_of_position,
)
from tradebot.model.auction import AuctionRules, PositionValue
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

D = Decimal
RULES = AuctionRules(
    value_per_r=D("0.05"),
    cost=D("0.02"),
    min_advantage=D("0.10"),
    max_positions=3,
    margin_fraction=D("0.9"),
    max_per_cluster=8,
    max_opens=5,
    max_closes=5,
    max_trades=5,
    min_age_s=900,
    cooldown_s=3600,
)
CAPS = Caps(positions=3, margin_usd=D(90), per_cluster=8, opens=5, closes=5, trades=5, advantage=RULES.min_advantage)
ONE = replace(CAPS, positions=1)
YOUNG = Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.POSITION_TOO_YOUNG, 10.0, 900)


def held(symbol: str, points: int, r: str = "0", margin: int = 25, **changes: object) -> Bid:
    """Return a position that was opened for this many points of a hundred, and has gained `r` times its first stop."""
    value = value_of_position(points / 100, D(r) * D("0.03"), D("0.03"), RULES)
    usual = Bid(
        "flow", symbol, symbol, Side.BUY, value, D(margin), D(margin * 5), NOW, is_open=True, cluster="tight_up"
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def new(symbol: str, points: int, margin: int = 25, **changes: object) -> Bid:
    bid = held(symbol, points, "0", margin, **changes)
    return replace(bid, value=value_of_candidate(-points / 100, RULES), is_open=False)


def found(auction: Auction) -> dict[str, Ruling]:
    return {each.bid.symbol: each.ruling for each in auction.rulings}


def standing(auction: Auction, symbol: str) -> BidRuling:
    (one,) = [each for each in auction.rulings if each.bid.symbol == symbol]
    return one


def after(auction: Auction) -> list[Bid]:
    """Return who is in the account once all closes and opens have filled."""
    return [each.bid for each in auction.of(Ruling.KEEP, Ruling.OPEN, Ruling.AFTER) if not each.bid.leaving]


def numbers(decision: Decision) -> tuple[Reason | None, object, object]:
    return decision.reason, decision.observed, decision.limit


A, B, C = held("A", 70, "-0.4", 30), held("B", 66, "1", 25), held("C", 80, "0.2", 20)
N1, N2 = new("N1", 78, 25), new("N2", 83, 30)


def test_the_golden_example_swaps_the_lowest_and_leaves_the_position_that_is_nearly_as_good() -> None:
    assert [bid.worth for bid in (A, B, C, N1, N2)] == [D("0.66"), D("0.69"), D("0.79"), D("0.76"), D("0.81")]
    auction = hold_auction((A, B, C, N1, N2), CAPS)
    assert [each.bid.symbol for each in auction.rulings] == ["N2", "C", "N1", "B", "A"]
    assert found(auction) == {
        "N2": Ruling.AFTER, "C": Ruling.KEEP, "N1": Ruling.REFUSE, "B": Ruling.KEEP, "A": Ruling.CLOSE,
    }  # fmt: skip
    assert (standing(auction, "A").other, standing(auction, "N2").other) == (N2, A)
    for symbol in ("A", "N2"):
        assert numbers(standing(auction, symbol).decisions[0]) == (Reason.DISPLACED, D("0.81"), D("0.76"))
    refused = [numbers(each) for each in standing(auction, "N1").decisions]
    assert refused == [
        (Reason.AUCTION_ADVANTAGE_TOO_SMALL, D("0.76"), D("0.79")), (Reason.AUCTION_FULL, 4, 3),
    ]  # fmt: skip
    assert [bid.symbol for bid in after(auction)] == ["N2", "C", "B"]
    assert sum(bid.margin_usd for bid in after(auction)) == 75


def test_a_value_shows_its_parts() -> None:
    assert A.value == PositionValue(D("0.70"), D("-0.02"), D("0.02"), D("-0.4"))
    assert N1.value == PositionValue(D("0.78"), D(0), D("0.02"))


def test_a_value_exactly_at_the_threshold_swaps_and_one_just_below_does_not() -> None:
    one = replace(CAPS, positions=1)
    assert found(hold_auction((held("A", 66), new("N", 76)), one))["A"] is Ruling.CLOSE
    assert found(hold_auction((held("A", 66), new("N", 75)), one))["A"] is Ruling.KEEP


def test_a_refused_newcomer_opens_if_there_is_room_without_its_swap() -> None:
    # B and the newcomers compete for margin; N1 isn't clearly better than B, but fits beside it once N2 isn't there.
    b, n1 = held("B", 69, margin=30), new("N1", 78, margin=60)
    auction = hold_auction((b, n1, new("N2", 85, margin=40)), CAPS)
    assert found(auction) == {"N2": Ruling.OPEN, "N1": Ruling.REFUSE, "B": Ruling.KEEP}
    assert found(hold_auction((b, n1), CAPS)) == {"N1": Ruling.OPEN, "B": Ruling.KEEP}


def test_a_newcomer_that_fits_only_after_the_close_for_another_waits_for_it() -> None:
    big, n1, n2 = held("BIG", 40, margin=80), new("N1", 90, margin=20), new("N2", 80, margin=20)
    auction = hold_auction((big, n1, n2), CAPS)
    assert found(auction) == {"N1": Ruling.AFTER, "N2": Ruling.REFUSE, "BIG": Ruling.CLOSE}
    assert standing(auction, "N2").decisions[0].reason is Reason.DISPLACEMENT_PENDING


def test_a_position_prefers_a_newcomer_of_its_own_cluster() -> None:
    two = replace(CAPS, positions=2)
    a, b = held("A", 50, cluster="wide_up"), held("B", 51, cluster="tight_up")
    best, own = new("N1", 90, cluster="tight_up"), new("N2", 80, cluster="wide_up")
    auction = hold_auction((a, b, best, own), two)
    assert (standing(auction, "A").other, standing(auction, "B").other) == (own, best)


@pytest.mark.parametrize(
    ("caps", "bids", "symbol", "reason", "observed", "limit"),
    [
        (CAPS, (A, B, C, new("N", 60)), "N", Reason.AUCTION_OUTBID, D("0.58"), D("0.66")),
        (replace(CAPS, margin_usd=D(20)), (N1,), "N1", Reason.AUCTION_MARGIN_ABOVE_MAX, 25, 20),
        (ONE, (held("A", 70), new("N", 75)), "N", Reason.AUCTION_ADVANTAGE_TOO_SMALL, D("0.73"), D("0.78")),
        (replace(CAPS, per_cluster=1), (held("A", 90), new("N", 75)), "N", Reason.AUCTION_CLUSTER_FULL, 2, 1),
        (CAPS, (held("A", 90, name="X"), new("N", 75, name="X")), "N", Reason.AUCTION_SYMBOL_TAKEN, 2, 1),
        (replace(CAPS, net_usd=D(200)), (held("A", 90), new("N", 75)), "N", Reason.AUCTION_NET_ABOVE_MAX, 250, 200),
        (replace(CAPS, of_strategy={"flow": 1}), (C, N1), "N1", Reason.OWN_MAX_OPEN_POSITIONS, 2, 1),
        (replace(CAPS, opens=1), (N1, N2), "N1", Reason.AUCTION_PASS_FULL, 2, 1),
        (replace(ONE, closes=1), (A, held("L", 40, leaving=True), N2), "N2", Reason.AUCTION_PASS_FULL, 2, 1),
        (ONE, (replace(A, bound=YOUNG), N2), "N2", Reason.AUCTION_FULL, 2, 1),
        (ONE, (A, replace(N2, bound=YOUNG)), "N2", Reason.POSITION_TOO_YOUNG, 10.0, 900),
        (CAPS, (replace(N2, awaited=True),), "N2", Reason.DISPLACEMENT_PENDING, None, None),
    ],
)  # fmt: skip
def test_each_refusal_has_its_cause_and_its_numbers(
    caps: Caps, bids: tuple[Bid, ...], symbol: str, reason: Reason, observed: object, limit: object
) -> None:
    one = standing(hold_auction(bids, caps), symbol)
    assert one.ruling is Ruling.REFUSE
    assert (reason, observed, limit) in [numbers(each) for each in one.decisions]


@pytest.mark.parametrize(
    ("caps", "bids", "reasons"),
    [
        # A young position, and a newcomer that a close was made for, keep their places though they are worth less.
        (ONE, (replace(A, bound=YOUNG), N2), [Reason.AUCTION_FULL, Reason.POSITION_TOO_YOUNG]),
        (ONE, (replace(new("DUE", 70), due=True), N2), [Reason.AUCTION_FULL]),
        # One of another cluster is worth less, and fits.
        (
            replace(CAPS, per_cluster=1),
            (held("A", 95), N2, new("LOW", 50, cluster="other")),
            [Reason.AUCTION_CLUSTER_FULL],
        ),
    ],
)
def test_no_candidate_is_said_to_be_outbid_by_what_is_worth_less(
    caps: Caps, bids: tuple[Bid, ...], reasons: list[Reason]
) -> None:
    one = standing(hold_auction(bids, caps), "N2")
    assert one.ruling is Ruling.REFUSE
    assert [each.reason for each in one.decisions] == reasons


def test_a_young_or_unvalued_position_stays_however_weak_it_is() -> None:
    one = replace(CAPS, positions=1)
    for bid, reason in (
        (held("A", 1, bound=YOUNG), Reason.POSITION_TOO_YOUNG), (held("A", 1, value=None), Reason.SCORE_UNKNOWN),
    ):  # fmt: skip
        auction = hold_auction((bid, N2), one)
        assert found(auction) == {"A": Ruling.KEEP, "N2": Ruling.REFUSE}
        assert standing(auction, "A").decisions[0].reason is reason


def test_an_awaited_newcomer_closes_nothing_more_and_keeps_its_place() -> None:
    two = replace(CAPS, positions=2)
    bids = (held("A", 30, leaving=True), held("B", 40), replace(N2, awaited=True), new("N3", 48))
    auction = hold_auction(bids, two)
    assert found(auction) == {"A": Ruling.KEEP, "B": Ruling.KEEP, "N2": Ruling.REFUSE, "N3": Ruling.REFUSE}


def test_without_newcomers_nothing_is_closed_even_above_the_limits() -> None:
    assert set(found(hold_auction((A, B, C), replace(CAPS, positions=1))).values()) == {Ruling.KEEP}


def test_a_swap_that_would_break_a_limit_over_what_stays_is_refused() -> None:
    # B is no winner for want of margin, and nothing is clearly better than it; what stays leaves no margin for N2.
    caps, locked = replace(CAPS, margin_usd=D(100)), held("L", 10, margin=40, bound=YOUNG)
    a, b, n2 = held("A", 50, margin=20), held("B", 75, margin=40), new("N2", 83, margin=60)
    auction = hold_auction((locked, a, b, n2), caps)
    assert found(auction) == {"L": Ruling.KEEP, "A": Ruling.KEEP, "B": Ruling.KEEP, "N2": Ruling.REFUSE}
    assert numbers(standing(auction, "N2").decisions[0]) == (Reason.AUCTION_MARGIN_ABOVE_MAX, 140, 100)


@st.composite
def a_bid(draw: st.DrawFn, number: int) -> Bid:
    symbol = f"S{number}"
    make = held if draw(st.booleans()) else new
    points, margin = draw(st.integers(0, 100)), draw(st.integers(1, 40))
    bid = make(
        symbol, points, margin=margin,
        cluster=draw(st.sampled_from(["", "a", "b"])),
        name=draw(st.sampled_from([symbol, "S1"])),
        strategy=draw(st.sampled_from(["flow", "other"])),
        side=draw(st.sampled_from(Side)),
        since=NOW - timedelta(seconds=draw(st.integers(0, 3))),
        bound=draw(st.sampled_from([None, None, None, YOUNG])),
    )  # fmt: skip
    if not bid.is_open:
        return bid
    unknown = draw(st.integers(0, 9)) == 0
    return replace(
        bid, value=None if unknown else value_of_position(points / 100, D(draw(st.integers(-9, 9))), D(3), RULES)
    )


@st.composite
def a_market(draw: st.DrawFn) -> tuple[tuple[Bid, ...], Caps]:
    bids = tuple(draw(a_bid(number)) for number in range(draw(st.integers(1, 10))))
    caps = Caps(
        positions=draw(st.integers(1, 8)),
        margin_usd=D(draw(st.integers(10, 200))),
        per_cluster=draw(st.integers(1, 4)),
        opens=draw(st.integers(1, 5)),
        closes=draw(st.integers(1, 5)),
        trades=draw(st.integers(2, 6)),
        advantage=RULES.min_advantage,
        net_usd=draw(st.none() | st.integers(50, 500).map(D)),
        of_strategy=draw(st.sampled_from([{}, {"other": 2}])),
    )
    return bids, caps


@given(a_market())
def test_limits_hold_after_it_and_at_each_moment_before_and_nothing_closes_without_reason(
    market: tuple[tuple[Bid, ...], Caps],
) -> None:
    bids, caps = market
    auction = hold_auction(bids, caps)
    assert Counter(each.bid.key for each in auction.rulings) == Counter(bid.key for bid in bids)
    opens, closes, waiting = auction.of(Ruling.OPEN), auction.of(Ruling.CLOSE), auction.of(Ruling.AFTER)
    if opens or waiting:
        # What the open positions exceed by themselves, no change may rely on; so any change leaves every total within.
        totals = replace(caps, per_cluster=99, of_strategy={})
        names = [replace(bid, name=bid.symbol) for bid in after(auction)]
        assert totals.broken(names) is None
        for one in (*opens, *waiting):
            others = [bid for bid in after(auction) if bid != one.bid]
            assert caps.broken(others, one.bid) is None
        now = [bid for bid in bids if bid.is_open]
        assert not opens or totals.broken([replace(b, name=b.symbol) for b in (*now, *(o.bid for o in opens))]) is None
    assert len(opens) + len(waiting) <= caps.opens
    assert len(closes) <= caps.closes
    assert len(opens) + len(waiting) + len(closes) <= caps.trades
    assert {each.other.key for each in closes if each.other} == {each.bid.key for each in waiting}
    assert len(closes) == len(waiting)
    for each in closes:
        assert each.other is not None
        assert each.other.worth >= each.bid.worth + caps.advantage
        assert (each.bid.bound, each.other.bound) == (None, None)
    for each in auction.of(Ruling.REFUSE):
        assert [one.passed or not one.reason for one in each.decisions] == [False] * max(len(each.decisions), 1)


@given(a_market(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(market: tuple[tuple[Bid, ...], Caps], random: object) -> None:
    bids, caps = market
    shuffled = list(bids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert hold_auction(shuffled, caps) == hold_auction(bids, caps)


@given(a_market(), st.booleans())
def test_auctioning_the_outcome_changes_nothing(market: tuple[tuple[Bid, ...], Caps], locks: bool) -> None:
    # A limit on the changes of one pass leaves the rest to the next, and longs make room for shorts.
    bids, drawn = market
    caps = replace(drawn, opens=99, closes=99, trades=99, net_usd=None)
    auction = hold_auction(bids, caps)
    opened = {bid.key for bid in after(auction) if not bid.is_open}
    there = [
        replace(bid, is_open=True, bound=YOUNG if locks else None) if bid.key in opened else bid
        for bid in after(auction)
    ]
    refused = auction.of(Ruling.REFUSE)
    # Those that waited only for others' closes to fill come in now, and nobody else.
    waited = {each.bid.key for each in refused if each.decisions[0].reason is Reason.DISPLACEMENT_PENDING}
    again = hold_auction((*there, *(each.bid for each in refused)), caps)
    assert not again.of(Ruling.CLOSE, Ruling.AFTER)
    assert {each.bid.key for each in again.of(Ruling.OPEN)} <= waited


@given(a_market())
def test_once_the_closes_have_filled_those_they_were_for_open_and_nothing_more_is_closed(
    market: tuple[tuple[Bid, ...], Caps],
) -> None:
    bids, drawn = market
    caps = replace(drawn, opens=99, closes=99, trades=99, net_usd=None)
    auction = hold_auction(bids, caps)
    closes = auction.of(Ruling.CLOSE)
    opened = [replace(each.bid, is_open=True, bound=YOUNG) for each in auction.of(Ruling.OPEN)]
    kept = [each.bid for each in auction.of(Ruling.KEEP)]
    refused, due = [each.bid for each in auction.of(Ruling.REFUSE)], [each.bid for each in auction.of(Ruling.AFTER)]

    working = [replace(each.bid, leaving=True) for each in closes]
    during = hold_auction((*kept, *opened, *working, *refused, *(replace(bid, awaited=True) for bid in due)), caps)
    assert not during.of(Ruling.CLOSE, Ruling.OPEN, Ruling.AFTER)
    later = hold_auction((*kept, *opened, *refused, *(replace(bid, due=True) for bid in due)), caps)
    assert not later.of(Ruling.CLOSE, Ruling.AFTER)
    assert {bid.key for bid in due} <= {each.bid.key for each in later.of(Ruling.OPEN)}


def test_free_room_is_taken_before_anything_is_closed() -> None:
    # The best takes the free place, and the other one isn't clearly better than the position.
    auction = hold_auction((held("B", 69), new("N1", 75), new("N2", 90)), replace(CAPS, positions=2))
    assert found(auction) == {"N2": Ruling.OPEN, "N1": Ruling.REFUSE, "B": Ruling.KEEP}
