"""What a desk brings to an auction: positions and candidates with their values, what holds them, and the room."""

from datetime import datetime
from decimal import Decimal

import pytest

from tests.gates.test_auction import RULES
from tests.gates.test_displacement import displacing, position
from tests.kit.values import (
    CASH,
    EXITS,
    HALTS,
    LEVELS,
    LIMITS,
    NOW,
    SECTORS,
    SHIPPED,
    ago,
    ask,
    book,
    books,
    candidate,
    desk,
    exit_rules,
    limits,
    listing,
    margin,
    margined,
    quote,
)
from tests.model.test_lifecycle import order
from tradebot.gates.ask import AccountAsk
from tradebot.gates.auction import Bid
from tradebot.gates.auction_bids import (
    AuctionSettings,
    auction_room,
    auction_settings,
    can_compete,
    candidate_bids,
    position_bids,
)
from tradebot.model.auction import PositionValue
from tradebot.model.candidate import Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, StrategyExposure, StrategyOrder
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.limits import ExitRules, Protection, StrategyRules
from tradebot.model.position import EntryTerms, Position
from tradebot.model.reasons import Reason
from tradebot.model.resting_orders import Resting
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.ports.world import Rules

D = Decimal
OWN = {"flow": StrategyRules((), LIMITS, auction=RULES)}
TAKING = AuctionSettings(RULES, OWN)
STOP = EXITS.stop_loss_fraction


def rules(exits: ExitRules = EXITS, own: dict[str, StrategyRules] = OWN) -> Rules:
    return Rules(Mode.SANDBOX, (), SECTORS, LIMITS, HALTS, exits, {}, own)


def seen(held: Position, price: str = "101", kept: EntryTerms | None = None, **changes: object) -> Desk:
    """Return a desk with one position, opened at 100 for a score of 0.5, and its price now."""
    known = kept or EntryTerms(entry_score=0.5, cluster="wide_up")
    usual = desk(
        positions=(held,),
        net={held.symbol: held.quantity},
        quotes={held.symbol: quote(held.symbol, price, price)},
        books=books(kept={held.key: known}),
        book=book(stakes=(StrategyExposure(held.strategy, held.symbol, Side.of(held.quantity), D(1010), held=True),)),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def bid_of(seen: Desk, exits: ExitRules = EXITS, settings: AuctionSettings = TAKING) -> Bid:
    (bid,) = position_bids(AccountAsk(seen, seen.book, LIMITS, HALTS), rules(exits), settings)
    return bid


@pytest.mark.parametrize(("long", "price"), [(True, "101"), (False, "99")])
def test_a_position_is_worth_its_entry_score_and_its_profit_in_multiples_of_its_stop(long: bool, price: str) -> None:
    bid = bid_of(seen(position("AAPL", long=long), price))
    r = D("0.01") / STOP
    assert bid.value == PositionValue(D("0.5"), D("0.05") * r, D("0.02"), r)
    assert (bid.bound, bid.cluster, bid.usd, bid.margin_usd) == (None, "wide_up", D(1010), D(1010))
    own = bid_of(seen(position("AAPL", long=long), price, EntryTerms(entry_score=-0.5, stop_loss_fraction=D("0.01"))))
    assert own.value is not None
    assert (own.value.r, own.value.total) == (D(1), D("0.53"))


OLD = position("AAPL")


@pytest.mark.parametrize(
    ("seen", "exits", "reason", "valued"),
    [
        (seen(position("AAPL", 899)), EXITS, Reason.POSITION_TOO_YOUNG, True),
        (seen(position("AAPL", 900)), EXITS, None, True),
        (seen(OLD), exit_rules(protection=Protection.VENUE), Reason.STOP_NOT_LIVE, True),
        (seen(OLD, quotes={}), EXITS, Reason.QUOTE_MISSING, False),
        (seen(OLD, quotes={"AAPL": quote(at=ago(121))}), EXITS, Reason.QUOTE_STALE, False),
        (seen(OLD, kept=EntryTerms()), EXITS, Reason.SCORE_UNKNOWN, False),
        (seen(OLD, net={}), EXITS, Reason.POSITION_GONE, True),
        (
            seen(OLD, book=book(own_orders=(StrategyOrder("flow", "AAPL", Side.SELL),))),
            EXITS,
            Reason.ORDER_WORKING,
            True,
        ),
        (seen(OLD, position_ratios={"AAPL": D(2)}), EXITS, Reason.SPLIT_UNPROVEN, True),
        (
            seen(
                OLD, books=books(kept={OLD.key: EntryTerms(entry_score=0.5)}, intents=(displacing("AAPL", ago(3599)),))
            ),
            EXITS,
            Reason.DISPLACED_LATELY,
            True,
        ),
    ],
)
def test_what_holds_a_position_in_its_place(seen: Desk, exits: ExitRules, reason: Reason | None, valued: bool) -> None:
    bid = bid_of(seen, exits)
    assert (bid.bound and bid.bound.reason, bid.value is not None) == (reason, valued)


def test_at_the_venue_only_a_stop_that_can_trigger_counts_as_live() -> None:
    record = displacing("AAPL", ago(5000))
    stop, venue = order(record.intent), exit_rules(protection=Protection.VENUE)
    for can_trigger, reason in ((True, None), (False, Reason.STOP_NOT_LIVE)):
        resting = {OLD.holding: (Resting(record, None, stop, can_trigger),)}
        bound = bid_of(seen(OLD, resting=resting), venue).bound
        assert (bound and bound.reason) == reason


def test_without_any_stop_in_its_exits_a_position_has_no_value_and_stays() -> None:
    bare = replace(rules(), own_exits={"flow": ()})
    held = seen(OLD)
    (bid,) = position_bids(AccountAsk(held, held.book, LIMITS, HALTS), bare, TAKING)
    assert (bid.bound and bid.bound.reason, bid.value) == (Reason.STOP_NOT_LIVE, None)


def test_only_positions_of_those_who_take_part_bid_and_unfilled_entries_count_as_there() -> None:
    other = position("MSFT", strategy="other")
    waits = StrategyExposure("flow", "JPM", Side.SELL, D(700), held=False)
    held = seen(OLD, positions=(OLD, other))
    entry = replace(displacing("JPM", ago(60)).intent, purpose=Purpose.OPEN, displaced_by="", cluster="tight_down")
    held = replace(
        held,
        books=replace(held.books, intents=(IntentRecord(entry, IntentState.ACKED, None, None, NOW),)),
        book=replace(held.book, stakes=(*held.book.stakes, waits)),
    )
    first, second = position_bids(AccountAsk(held, held.book, LIMITS, HALTS), rules(), TAKING)
    assert (first.symbol, second.symbol, second.side, second.usd) == ("AAPL", "JPM", Side.SELL, D(700))
    assert (second.is_locked, second.cluster, second.since) == (True, "tight_down", ago(60))


def test_an_entry_whose_fill_only_its_order_tells_takes_its_place_too() -> None:
    filled, waits = (
        StrategyExposure("flow", "JPM", Side.SELL, D(usd), held=is_held) for usd, is_held in ((600, True), (100, False))
    )
    held = seen(OLD)
    held = replace(held, book=replace(held.book, stakes=(*held.book.stakes, filled, waits)))
    _, second = position_bids(AccountAsk(held, held.book, LIMITS, HALTS), rules(), TAKING)
    assert (second.symbol, second.usd, second.is_open, second.is_locked) == ("JPM", D(700), True, True)
    held = replace(held, book=replace(held.book, stakes=(*held.book.stakes[:-1],)))
    assert [bid.symbol for bid in position_bids(AccountAsk(held, held.book, LIMITS, HALTS), rules(), TAKING)] == [
        "AAPL",
        "JPM",
    ]


def working(at: datetime, state: IntentState = IntentState.UNKNOWN) -> Desk:
    """Return a desk on which AAPL was to give way to XOM."""
    record = replace(displacing("AAPL", at), state=state)
    return seen(OLD, books=books(kept={OLD.key: EntryTerms(entry_score=0.5)}, intents=(record,)))


def wanted(on: Desk, symbol: str = "XOM") -> Bid:
    asked = ask(desk=on, candidate=replace(candidate(symbol, score=0.9), cluster="wide_up"))
    (bid,) = candidate_bids(on, [asked], TAKING)
    return bid


def test_a_candidate_bids_with_its_score_its_size_and_its_cluster() -> None:
    bid = wanted(seen(OLD))
    assert bid.value == PositionValue(D("0.9"), D(0), D("0.02"))
    assert (bid.is_open, bid.cluster, bid.bound, bid.awaited, bid.due) == (False, "wide_up", None, False, False)
    assert bid.margin_usd == bid.usd > 0


def test_a_candidate_is_awaited_while_the_close_for_it_works_and_due_for_a_while_after_it() -> None:
    during = working(ago(60))
    assert (bid_of(during).leaving, wanted(during).awaited) == (True, True)
    after = working(ago(60), IntentState.ACKED)
    assert (wanted(after).awaited, wanted(after).due, wanted(after, "JPM").due) == (False, True, False)
    assert not wanted(working(ago(3600), IntentState.ACKED)).due
    assert not wanted(working(ago(60), IntentState.REJECTED)).due
    opened = replace(displacing("XOM", ago(30)).intent, purpose=Purpose.OPEN, displaced_by="")
    known = after.books.intents
    sent = replace(after, books=replace(after.books, intents=(*known, replace(known[0], intent=opened))))
    assert not wanted(sent).due


def test_a_close_that_never_arrived_lets_the_same_swap_be_decided_again() -> None:
    """As after a kill between its promise and its request; the venue has proven since that nothing came."""
    lost = working(ago(60), IntentState.ABANDONED)
    assert (wanted(lost).due, wanted(lost, "AAPL").bound) == (False, None)
    held, came = bid_of(lost), bid_of(working(ago(60), IntentState.ACKED))
    assert held.bound is None
    assert came.bound is not None
    assert came.bound.reason is Reason.DISPLACED_LATELY


def test_a_symbol_that_gave_way_lately_is_no_reason_to_close_another() -> None:
    bound = wanted(working(ago(60), IntentState.ACKED), "AAPL").bound
    assert bound is not None
    assert (bound.reason, bound.limit) == (Reason.DISPLACED_LATELY, 3600)


def test_others_take_their_room_first() -> None:
    account = AccountAsk(
        desk(), book(held=frozenset({"AAPL", "MSFT"}), foreign=frozenset({"JPM"}), gross=D(30_000)), LIMITS, HALTS
    )
    mine = bid_of(seen(OLD))
    caps = auction_room(account, TAKING, [mine])
    assert (caps.positions, caps.of_strategy) == (min(3, LIMITS.max_open_positions - 2), {"flow": 5})
    assert caps.margin_usd == D("0.9") * CASH - (30_000 - mine.margin_usd)
    assert auction_room(replace(account, limits=limits(max_open_positions=4)), TAKING, [mine]).positions == 2


def test_in_an_account_with_margin_initial_margin_counts_and_its_tightest_limit() -> None:
    held = margined({"MSFT": "1000"})
    tight = limits(max_margin_fraction="0.8", min_free_margin_fraction="0.25")
    account = AccountAsk(desk(), held, tight, HALTS)
    # A tenth of 100,000 USD in MSFT is others' margin.
    assert auction_room(account, TAKING, []).margin_usd == D("0.75") * CASH - 10_000
    leveled = seen(OLD, listings={"AAPL": listing("AAPL", margin_levels=LEVELS)}, book=replace(
        margined(), stakes=(StrategyExposure("flow", "AAPL", Side.BUY, D(1010), held=True),)))  # fmt: skip
    assert bid_of(leveled).margin_usd == 101
    asked = ask(desk=desk(listings={"XOM": listing("XOM", margin_levels=LEVELS)}),
                book=margined(margin=margin()), candidate=candidate("XOM"))  # fmt: skip
    (bid,) = candidate_bids(asked.desk, [asked], TAKING)
    assert bid.margin_usd == bid.usd / 10
    net = RULES.model_copy(update={"max_net_fraction": D("0.5")})
    assert auction_room(account, AuctionSettings(net, OWN), []).net_usd == D("0.5") * CASH


def test_symbols_of_one_underlying_count_as_one() -> None:
    both = seen(OLD, listings={"AAPL": listing("AAPL", underlying="APPLE")})
    assert bid_of(both).name == "APPLE"
    assert wanted(seen(OLD)).name == "XOM"


def test_only_want_of_room_lets_a_refused_candidate_compete() -> None:
    full = Decision(Gate.OPEN_POSITIONS, Verdict.FAIL, Reason.MAX_OPEN_POSITIONS, 6, 5)
    dear = Decision(Gate.INITIAL_MARGIN, Verdict.FAIL, Reason.MARGIN_ABOVE_MAX, D("0.9"), D("0.8"))
    weak = Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN)
    one = candidate("XOM")
    assert can_compete(one, ())
    assert can_compete(one, (full, dear))
    assert not can_compete(one, (full, weak))
    assert not can_compete(one, (replace(full, verdict=Verdict.UNKNOWN),))
    assert not can_compete(replace(one, want=WantKind.TARGET), (full,))
    assert not can_compete(replace(one, score=None), (full,))


def test_strategies_take_part_only_if_they_chose_it() -> None:
    assert auction_settings(rules()) == TAKING
    assert auction_settings(rules(own={"flow": StrategyRules((), LIMITS)})) is None
    assert SHIPPED.auction is None
