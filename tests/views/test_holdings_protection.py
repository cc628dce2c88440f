"""What protects a position: stops at the broker, and for the rest a rule of the bot, with the reason."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from commands.positions import report as positions
from tests.kit.values import LISTED, NOW, ago, instrument, there
from tests.model.test_lifecycle import PAIR, order, record
from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.kinds.times import TimeExit
from tradebot.exits.rules import Exits
from tradebot.model.intent import IntentState
from tradebot.model.lifecycle import NOTHING, PendingWork, Records, RestingPrice, State
from tradebot.model.order import OrderClass, OrderStatus
from tradebot.model.position import ADOPTED, EntryTerms, Lot, Position
from tradebot.model.record import DOUBTED, EXITING, Gap
from tradebot.model.struct_tools import replace
from tradebot.views.holdings import Holding, PositionProtection, StopGap, holdings, protection_of

D = Decimal
HEADINGS = {"STOP_LOSS": "stop"}
REFUSED = PendingWork(refused=replace(record(PAIR, IntentState.REJECTED), code="40310000", message="no pairs here"))
ONLY_TIME: Exits = (TimeExit(after_s=3600),)
ONLY_TARGET = PendingWork(resting=(RestingPrice(D(110), D(10), False),))
PAIRED, NO_PAIRS = "stop 95.00, target 110.00", "the broker refused it: 40310000 no pairs here"
OF_FRACTIONS = "the bot's stop, stops for fractional shares can't rest at the broker"


def held(quantity: str, strategy: str = "flow") -> Position:
    since = ago(600)
    return Position(strategy, "AAPL", (Lot(D(quantity), D(100), since),), D(0), since)


def pair(quantity: str, stop: str = "95", target: str = "110") -> PendingWork:
    return PendingWork(
        resting=(RestingPrice(D(stop), D(quantity), True), RestingPrice(D(target), D(quantity), False)),
        instrument=instrument(),
    )


def two_pairs(first: str, second: str) -> PendingWork:
    """Return pairs for two increments of a position; the second has a stop of its own."""
    return PendingWork(resting=(*pair(first).resting, *pair(second, "96").resting))


@pytest.mark.parametrize(
    ("position", "work", "rules", "covered", "why", "words"),
    [
        (held("10"), pair("10"), LISTED, "10", None, PAIRED),
        (held("-10"), pair("10", "105", "90"), LISTED, "10", None, "stop 105.00, target 90.00"),
        (held("10"), two_pairs("6", "4"), LISTED, "10", None, "stop 95.00 and 96.00, target 110.00"),
        (held("10.5"), pair("10"), LISTED, "10", StopGap.FRACTION, f"{PAIRED} for 10; the rest: {OF_FRACTIONS}"),
        (held("0.5"), NOTHING, LISTED, "0", StopGap.FRACTION, OF_FRACTIONS),
        (held("10", ADOPTED), NOTHING, LISTED, "0", StopGap.ADOPTED, "the bot's stop, it was adopted"),
        (held("10"), NOTHING, ONLY_TIME, "0", StopGap.NO_STOP_RULE, "none, no stop rule is in force"),
        (held("10"), NOTHING, LISTED, "0", StopGap.NOT_PLACED, "the bot's stop"),
        (held("10"), ONLY_TARGET, LISTED, "0", StopGap.NOT_PLACED, "only target 110.00; the bot's stop"),
        (held("10"), pair("4"), LISTED, "4", StopGap.NOT_PLACED, f"{PAIRED} for 4; the rest: the bot's stop"),
        (held("10"), REFUSED, LISTED, "0", StopGap.REFUSED, f"the bot's stop, {NO_PAIRS}"),
    ],
)
def test_position_shows_what_rests_and_which_rule_protects_the_rest(
    position: Position, work: PendingWork, rules: Exits, covered: str, why: StopGap | None, words: str
) -> None:
    found = protection_of(WatchedPosition(position, D(100)), work, rules, None, NOW, at_venue=True)
    assert (found.covered, found.why) == (D(covered), why and why.value)
    assert (found.rule is None) is (why in (None, StopGap.NO_STOP_RULE))
    assert positions.protection(found, HEADINGS, "AAPL") == words


def test_half_a_share_is_no_fraction_where_lots_are_smaller_and_an_older_refusal_counts_for_nothing() -> None:
    def found(one: WatchedPosition, work: PendingWork) -> PositionProtection:
        return protection_of(one, work, LISTED, None, NOW, at_venue=True)

    half = WatchedPosition(held("0.5"), D(100), EntryTerms(instrument=instrument(lot=D("0.1"))))
    assert found(half, NOTHING).why == StopGap.NOT_PLACED.value
    early = replace(there(REFUSED.refused), intent=replace(there(REFUSED.refused).intent, at=ago(601)))
    ten = WatchedPosition(held("10"), D(100))
    late = found(ten, replace(REFUSED, refused=early))
    assert (late.why, late.refusal) == (StopGap.NOT_PLACED.value, None)
    assert found(ten, pair("12")) == PositionProtection(D(10), pair("12").resting, None, None, None), "and no rule"


def test_every_protection_reason_has_its_own_words() -> None:
    known = {EXITING, DOUBTED, OrderStatus.UNKNOWN.value, *(why.value for why in StopGap)}
    assert set(positions.WHY) == known


@pytest.mark.parametrize(
    ("why", "work", "words"),
    [
        ("suspended", NOTHING, "the bot's stop, none at the broker for 3m, the last one is suspended"),
        (EXITING, NOTHING, "the bot's stop, none at the broker for 3m, an exit has replaced it"),
        (DOUBTED, NOTHING, "the bot's stop, perhaps none at the broker for 3m, the broker's answers about it disagree"),
        ("refused", REFUSED, f"the bot's stop, none at the broker for 3m, {NO_PAIRS}"),
        ("suspended", pair("10"), PAIRED),
    ],
)
def test_open_gap_shows_its_age_and_reason(why: str, work: PendingWork, words: str) -> None:
    gap = Gap("flow", "AAPL", D(10), ago(180), why)
    found = protection_of(WatchedPosition(held("10"), D(100)), work, LISTED, gap, NOW, at_venue=True)
    assert positions.protection(found, HEADINGS, "AAPL") == words
    assert (found.since, found.gap_s) == ((None, None) if work.resting else (ago(180), 180))


@pytest.mark.parametrize(("seen", "state"), [(True, State.OPEN), (False, State.PROTECTED)])
def test_pair_that_a_pass_of_exits_has_not_seen_arrive_protects_nothing_on_screen(seen: bool, state: State) -> None:
    sent = pair("10")
    work = {("flow", "AAPL"): replace(sent, coming=sent.resting[:1])}
    gaps = (Gap("flow", "AAPL", D(10), ago(180), "unknown"),) if seen else ()
    (row,) = holdings([held("10")], {}, {}, lambda strategy: LISTED, {}, NOW, work, gaps, at_venue=True)
    assert row.state == state.value
    assert row.protection is not None
    words = (
        "only target 110.00; the bot's stop, none at the broker for 3m, it isn't known whether the last stop arrived"
    )
    assert positions.protection(row.protection, HEADINGS, "AAPL") == (words if seen else "stop 95.00, target 110.00")


def shown(rows: list[Holding], columns: int) -> str:
    console = Console(file=io.StringIO(), width=columns)
    positions.show_own(console, rows)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("columns", [50, 80, 100, 160])
def test_the_screen_shows_state_and_protection_at_every_width(columns: int) -> None:
    work = {("flow", "AAPL"): pair("10"), ("adopted", "AAPL"): NOTHING}
    book = [held("10.5"), held("3", ADOPTED)]
    text = shown(list(holdings(book, {}, {}, lambda strategy: LISTED, {}, NOW, work, (), at_venue=True)), columns)
    words = " ".join(text.split())
    for said in ("protected", "adopted", "stop 95.00, target 110.00 for 10", "it was adopted"):
        assert said in words
    assert (max(map(len, text.splitlines())) <= columns, "No stop rests" in words) == (True, False)


def test_positions_say_once_that_no_stop_rests_at_the_broker_and_one_of_others_is_quarantined() -> None:
    text = shown(list(holdings([held("10")], {}, {}, lambda strategy: LISTED, {}, NOW, {}, (), at_venue=True)), 160)
    assert text.endswith("No stop rests at the broker; the bot's own rules close these positions\n")
    assert "protection" not in text
    (row,) = holdings((), {"AAPL": D(10)}, {}, lambda strategy: LISTED, {}, NOW, {}, (), at_venue=True)
    assert (row.state, row.protection) == (State.QUARANTINED.value, None)


def test_unconfirmed_stop_is_shown_as_on_its_way() -> None:
    plain = replace(PAIR, order_class=OrderClass.SIMPLE)
    stop = order(plain, OrderStatus.PENDING_NEW, stop_price=D(95), limit_price=None)
    work = Records().after((record(plain, IntentState.ACKED), stop)).work({})
    rows = holdings([held("10")], {}, {}, lambda strategy: LISTED, {}, NOW, work, (), at_venue=True)
    text = " ".join(shown(list(rows), 160).split())
    assert "the bot's stop, a stop is on its way to the broker" in text
    assert "No stop rests" not in text


@pytest.mark.parametrize("side", [1, -1])
def test_protecting_rule_is_the_one_with_the_nearest_stop(side: int) -> None:
    for best, rule in ((100, "STOP_LOSS"), (100 + 5 * side, "TRAILING_STOP")):
        found = protection_of(
            WatchedPosition(held(str(10 * side)), D(best)), NOTHING, LISTED, None, NOW, at_venue=False
        )
        assert (found.rule, found.why) == (rule, StopGap.BY_SETTING.value)
