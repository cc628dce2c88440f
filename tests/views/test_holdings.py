"""The exit rule that acts first, and the margin as the last pass read it, in the documents as on the screens."""

import io
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from commands.positions import report as positions
from commands.status import report
from tests.kit.rows import make_cycle, minutes
from tests.kit.values import EXITS, LISTED, NOW, ago, candidate, fill, margin, there
from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.rules import parse
from tradebot.model.account import ActivityKind, CashMovement
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.lifecycle import NOTHING
from tradebot.model.margin import Liquidation, MarginSeen
from tradebot.model.position import FOREIGN, EntryTerms, Lot, Origin, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.views import holdings
from tradebot.views.holdings import (
    Holding,
    RecordedPrice,
    account_margin,
    funding_so_far,
    nearest_levels,
    protection_of,
)


def holding(price: str, *, held_for_s: float = 600) -> Holding:
    """Return ten shares bought at 100 USD, at a price."""
    opened_at, now = ago(600), ago(600) + timedelta(seconds=held_for_s)
    position = Position("flow", "AAPL", (Lot(Decimal(10), Decimal(100), opened_at),), Decimal(0), opened_at)
    rows = holdings.stop_rows(WatchedPosition(position, Decimal(100)), LISTED, Decimal(price), now, LISTED)
    numbers = (Decimal(price), NOW, Decimal(0), Decimal(0), None)
    bought = (Decimal(10), Decimal(100), Decimal(1000), opened_at, held_for_s)
    alone = protection_of(WatchedPosition(position, Decimal(100)), NOTHING, LISTED, None, NOW, at_venue=True)
    return Holding("AAPL", "flow", *bought, *numbers, rows, holdings.nearest_of(rows), "open", alone)


def screen(*rows: Holding, columns: int = 160) -> str:
    """Return the positions of the bot as a terminal of so many columns shows them."""
    console = Console(file=io.StringIO(), width=columns)
    positions.show_own(console, list(rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


LOSS = 100 * (1 - EXITS.stop_loss_fraction)
GAIN = 100 * (1 + EXITS.profit_target_fraction)
OVERDUE_S = EXITS.time_exit_s + 14 * 3600 + 27 * 60


@pytest.mark.parametrize(
    ("price", "held_for_s", "rule", "said"),
    [
        (LOSS * Decimal("0.996"), 600, "STOP_LOSS", f"STOP_LOSS {LOSS:,.2f}, passed by 0.4%"),
        (LOSS * Decimal("1.004"), 600, "STOP_LOSS", f"STOP_LOSS {LOSS:,.2f}, 0.4% away"),
        (LOSS * Decimal("0.996"), OVERDUE_S, "TIME_EXIT", "TIME_EXIT due 14h27m ago"),
    ],
)
def test_status_shows_the_exit_rule_that_acts_first(price: Decimal, held_for_s: float, rule: str, said: str) -> None:
    held = holding(str(price), held_for_s=held_for_s)
    assert held.nearest == rule
    assert report.nearest_rule(held) == said


def of_short(held: Holding) -> Holding:
    """Return a position as a short, whose rules are the other way round."""
    position = Position("flow", "AAPL", (Lot(Decimal(-10), Decimal(100), NOW),), Decimal(0), NOW)
    rows = holdings.stop_rows(WatchedPosition(position, Decimal(100)), LISTED, held.price, NOW, LISTED)
    return replace(held, quantity=Decimal(-10), stops=rows)


@pytest.mark.parametrize("price", [LOSS - 1, LOSS + 1, Decimal(100), GAIN, GAIN - 1, GAIN + 1])
@pytest.mark.parametrize("is_short", [False, True])
def test_stop_and_target_are_told_apart_on_either_side_of_them(price: Decimal, is_short: bool) -> None:
    held = holding(str(price))
    stop, target = nearest_levels(of_short(held) if is_short else held)
    assert (stop and stop.rule, target and target.rule) == ("STOP_LOSS", "PROFIT_TARGET")


def test_unarmed_rules_times_and_positions_without_a_price_have_no_level() -> None:
    held = holding("100")
    assert {row.rule for row in held.stops if not row.armed or row.price is None} != set()
    unarmed = replace(held, stops=tuple(replace(row, armed=False) for row in held.stops))
    apart = replace(held, price=None, stops=tuple(replace(row, distance=None) for row in held.stops))
    assert nearest_levels(unarmed) == nearest_levels(apart) == (None, None)


def test_value_is_that_of_the_price_and_unknown_without_one() -> None:
    held = replace(holding("100"), cost_usd=Decimal(-1000), unrealized_usd=Decimal(50))
    assert held.value_usd == -950
    assert replace(held, unrealized_usd=None).value_usd is None
    assert replace(held, cost_usd=None).value_usd is None


@pytest.mark.parametrize("columns", [50, 80, 100, 160])
def test_positions_show_passed_and_overdue_rules_at_every_width(columns: int) -> None:
    shown = screen(holding(str(LOSS * Decimal("0.996")), held_for_s=OVERDUE_S), columns=columns)
    assert ("passed by 0.4%" in shown, "due 14h27m ago" in shown, "…" in shown) == (True, True, False)
    assert max(map(len, shown.splitlines())) <= columns


def test_positions_name_their_strategy_if_there_are_several() -> None:
    one, other = holding("100"), replace(holding("100"), strategy="momentum")
    assert ("flow" in screen(one, one), "momentum" in screen(other)) == (False, False)
    found = [line.split()[:2] for line in screen(one, other).splitlines()]
    assert found == [["symbol", "strategy"], ["AAPL", "flow"], ["AAPL", "momentum"], ["No", "stop"]]


@pytest.mark.parametrize(("age_s", "price"), [(301, None), (300, Decimal(52))])
def test_price_older_than_the_oldest_lot_is_ignored_for_a_position(age_s: float, price: Decimal | None) -> None:
    """A split, here five minutes ago, gives a position new lots of the same age."""
    lots = (Lot(Decimal(20), Decimal(50), ago(300)), Lot(Decimal(1), Decimal(51), ago(10)))
    position = Position("flow", "AAPL", lots, Decimal(0), ago(600))
    seen = {"AAPL": holdings.RecordedPrice(Decimal(52), ago(age_s))}
    (held,) = holdings.holdings([position], {}, {}, lambda strategy: LISTED, seen, NOW, {}, (), at_venue=True)
    assert (held.price, held.opened_at) == (price, ago(600))


def test_own_stop_is_shown_when_it_is_nearer_than_the_rule() -> None:
    opened_at = ago(600)
    position = Position("flow", "AAPL", (Lot(Decimal(10), Decimal(100), opened_at),), Decimal(0), opened_at)

    def of(stop: str) -> Holding:
        kept = {("flow", "AAPL"): EntryTerms(None, Decimal(stop))}
        (held,) = holdings.holdings([position], {}, kept, lambda strategy: LISTED, {}, NOW, {}, (), at_venue=True)
        return held

    near, far = of("0.005"), of("0.5")
    assert [(stop.rule, stop.price) for stop in near.stops if stop.own] == [("STOP_LOSS", Decimal("99.5"))]
    assert "Set by the strategy when it opened the position: AAPL stop\n" in screen(near)
    assert [stop.price for stop in far.stops if stop.rule == "STOP_LOSS"] == [LOSS]
    assert (any(stop.own for stop in far.stops), "Set by" in screen(far)) == (False, False)


def test_scale_out_shows_its_next_level_and_other_rules_none() -> None:
    levels = [{"fraction": 0.02, "share": 0.3}, {"fraction": 0.05, "share": 0.7}]
    rules = parse([{"scale_out": {"levels": levels}}, {"flow_reversal": {"min_flow": 0.2}}])
    for shares, price in ((10, 102), (7, 105)):
        lots = (Lot(Decimal(shares), Decimal(100), ago(600)),)
        position = Position("flow", "AAPL", lots, Decimal(0), ago(600), original_quantity=Decimal(10))
        (row,) = holdings.stop_rows(WatchedPosition(position, Decimal(100)), rules, Decimal(100), NOW, rules)
        assert (row.rule, row.price, row.own) == ("SCALE_OUT", Decimal(price), False)
        assert row.distance == Decimal(price) / 100 - 1


def test_shares_that_others_closed_are_taken_from_one_position_after_the_other_at_their_price() -> None:
    own = [fill(n, strategy=name, at=ago(600)) for n, name in enumerate(("flow", "momentum"), 1)]
    others = fill(3, strategy=FOREIGN, side=Side.SELL, quantity="15", price="90", at=ago(300))
    totals = Totals.of([*own, others])
    closed = holdings.externally_closed(totals)
    assert closed == {"AAPL": holdings.ExternalClose(Decimal(15), Decimal(90), others.fill.at)}
    seen = {"AAPL": RecordedPrice(Decimal(110), NOW)}
    theirs = {"AAPL": Decimal(-15), "MSFT": Decimal(3)}
    first, second, *foreign = holdings.holdings(
        totals.own_positions(), theirs, {}, lambda _: LISTED, seen, NOW, {}, (), at_venue=True, closed=closed
    )
    assert [(row.symbol, row.closed_by_others, row.is_held) for row in foreign] == [
        ("AAPL", Decimal(15), False),
        ("MSFT", Decimal(0), True),
    ]
    assert (first.closed_by_others, first.is_held, first.state) == (Decimal(10), False, "closed")
    assert (first.price, first.unrealized_usd) == (Decimal(90), Decimal(-100))
    assert not first.stops
    assert first.protection is None
    assert (second.closed_by_others, second.is_held, second.price) == (Decimal(5), True, Decimal(110))
    assert second.unrealized_usd == 5 * 10 - 5 * 10
    assert second.protection is not None
    more = fill(4, strategy=FOREIGN, at=ago(300))
    assert holdings.externally_closed(Totals.of([*own, more])) == {}, "others hold more of it, and closed nothing"


def test_symbol_is_suspended_if_the_last_pass_of_exits_said_so() -> None:
    def seen(at: int, reason: Reason, job: Job = Job.EVALUATE_EXITS) -> CycleRecord:
        ended = CandidateRecord(candidate("AAPL"), (Decision(Gate.EXIT, Verdict.UNKNOWN, reason),))
        return CycleRecord(f"c{at}", job, NOW.date(), "slot", ago(at), "sandbox", (ended,))

    before, after = seen(120, Reason.TRADING_SUSPENDED), seen(60, Reason.HOLD)
    assert holdings.suspended_in([before]) == {"AAPL"}
    others: list[list[CycleRecord]] = [[before, after], [after, replace(before, job=Job.TRADE_ONCE), before], []]
    assert not any(map(holdings.suspended_in, others))


def test_position_in_contracts_gains_as_much_as_their_multiplier_says() -> None:
    position = Position("flow", "AAPL", (Lot(Decimal(-2), Decimal(100), ago(600)),), Decimal(0), ago(600))
    contracts = replace(position, multiplier=Decimal(50))
    shares, (held,) = (
        holdings.holdings(
            [one], {}, {}, lambda _: LISTED, {"AAPL": RecordedPrice(Decimal(99), NOW)}, NOW, {}, (), at_venue=False
        )
        for one in (position, contracts)
    )
    assert [one.unrealized_usd for one in (*shares, held)] == [2, 100]
    assert [one.multiplier for one in (*shares, held)] == [1, 50]
    assert held.gain == shares[0].gain


D = Decimal
EQUITY = D(50_000)
SEEN = margin({"AAPL": "2000"}, equity=D(50_000)).as_observed(D(50_000))


def cycle(at: datetime, seen: MarginSeen | None, equity: Decimal | None = EQUITY) -> CycleRecord:
    return replace(make_cycle("c", at), margin=seen, equity=equity)


def test_a_pass_records_what_is_held_as_the_venue_told_it() -> None:
    (aapl,) = SEEN.liquidations
    assert (SEEN.initial, SEEN.maintenance, SEEN.available) == (D(40_000), D(20_000), D(10_000))
    assert aapl == Liquidation("AAPL", D(30_000) / D(180_000), 100 * (1 - D(30_000) / D(180_000)), D(100))


def test_the_last_pass_that_read_the_margin_is_shown() -> None:
    newer = replace(SEEN, maintenance=D(25_000), available=None)
    found = there(account_margin((cycle(minutes(2), newer), cycle(minutes(1), SEEN), cycle(minutes(3), None))))
    assert (found.at, found.initial_fraction, found.maintenance_fraction) == (minutes(2), D("0.8"), D("0.5"))
    assert (found.initial_usd, found.maintenance_usd, found.available_usd) == (D(40_000), D(25_000), None)
    assert found.liquidations == SEEN.liquidations


@pytest.mark.parametrize("equity", [None, D(0), D(-1)])
def test_without_equity_there_are_no_fractions_of_it_and_without_margin_nothing(equity: Decimal | None) -> None:
    found = there(account_margin((cycle(minutes(1), SEEN, equity),)))
    assert (found.initial_fraction, found.maintenance_fraction, found.initial_usd) == (None, None, D(40_000))
    assert account_margin((make_cycle("c1"), make_cycle("c2"))) is account_margin(()) is None


def held(symbol: str, strategy: str, minute: int) -> Holding:
    opened, none = minutes(minute), None
    return Holding(
        symbol, strategy, D(1), none, none, opened, none, none, none, none, none, none, (), none, "open", none
    )


def test_funding_counts_for_what_is_held_since_it_was_opened() -> None:
    def paid(symbol: str, minute: int, usd: str, meaning: ActivityKind = ActivityKind.FUNDING) -> CashMovement:
        return CashMovement(minutes(minute), D(usd), meaning, Origin.ACTIVITY, f"{minute}", "", symbol, "", meaning)

    names = (("PF_B", "rotation", 5), ("PF_A", "rotation", 3), ("PF_A", "another", 7), ("PF_C", "rotation", 1))
    movements = (
        *(paid("PF_A", minute, usd) for minute, usd in ((2, "-8"), (3, "-1"), (6, "0.25"), (8, "-0.5"))),
        paid("PF_A", 8, "-3", ActivityKind.COMMISSION),
        *(
            paid(symbol, minute, usd)
            for symbol, minute, usd in (("PF_B", 4, "-2"), ("PF_D", 8, "-4"), ("PF_B", 9, "0.1"))
        ),
    )
    found = funding_so_far([held(*each) for each in names], movements)
    assert [(one.symbol, one.amount_usd) for one in found] == [("PF_B", D("0.1")), ("PF_A", D("-1.25"))]
