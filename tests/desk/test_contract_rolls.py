"""A position moves from a contract that ends into the next one: one plan of two intents, whatever is killed when."""

import itertools
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.apart import BotApart as Apart
from tests.kit.core.apart import capabilities
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import Wanting
from tests.kit.values import DAY, SESSION, Killed, exit_rules, limits, listing
from tests.orders.test_entry_orders import ends
from tradebot.desk.contract_rolls import choose, owed_roll_entries, unfinished_rolls, with_earlier_rolls
from tradebot.desk.prepare_desk import desk_for_entries
from tradebot.desk.proposals import Proposals
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Hours, ListingRecord, Rolling
from tradebot.model.intent import Intent, Operation
from tradebot.model.limits import Protection
from tradebot.model.order import Reply
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.series import DAY as DAILY
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, RungReached, TradingState, TradingStateRecord
from tradebot.model.venue import Edit, End, Pairs, Proof
from tradebot.model.view import BarNeed, Close, Target, Want
from tradebot.ports.world import World
from tradebot.venues.ibkr.contracts import months_of, root_of, symbol_of

OLD, NEW = "AAPL", "MSFT"
"""They stand for two months of one contract."""
MORNING, NIGHT = (570, 930), (240, 300)
STILL = exit_rules(protection=Protection.BOT, time_exit_s=864_000)
LIMITS = limits(cooldown_s=1, max_symbol_entries=20)


def contract(symbol: str) -> str:
    return "ES" if symbol in (OLD, NEW) else symbol


class RollingBot:
    """A bot that holds contracts of a month that ends."""

    def __init__(self, side: Side = Side.BUY, on: int = 0, until: int = 5, hour: tuple[int, int] = MORNING) -> None:
        self.hurry, self.unnamed = dict[str, int](), ""
        self.stopwatch: Callable[[], float] = lambda: 0.0
        self.scene = Scene(
            exits=STILL, limits=limits(cooldown_s=1, max_symbol_entries=9, max_new_entries=5, max_orders_per_second=5)
        )
        self.venue, self.passes = self.scene.venue, 0
        self.trades(replace(wanted(OLD, 0.5, side), stop_loss_fraction=Decimal("0.04")))
        self.fill_all()
        self.exits()
        a_day = timedelta(days=1)
        leaves = Rolling(DAY + on * a_day, DAY + until * a_day, NEW, *hour)
        old, new = replace(listing(OLD, underlying="ES"), rolling=leaves), listing(NEW, underlying="ES")
        self.scene.ledger.put_listings([ListingRecord(replace(one, read_at=self.venue.now)) for one in (old, new)])
        self.before = len(self.venue.submitted)
        self.venue.end_of = self._end_of  # type: ignore[method-assign]

    def _end_of(self, intent: Intent, sessions: object, now: object) -> Proof:
        order = self.venue.order(intent.client_order_id)
        return Proof.of(order) if order else Proof(End.OVER, "neither orders nor executions have it")

    def world(self, *candidates: object) -> World:
        usual = self.scene.world(*candidates)  # type: ignore[arg-type]
        named = {symbol: sector for symbol, sector in usual.rules.sectors.items() if symbol != self.unnamed}
        hurried = usual.rules.limits.model_copy(update=self.hurry)
        rules = replace(usual.rules, coin=contract, limits=hurried, sectors=named)
        return replace(usual, rules=rules, stopwatch=self.stopwatch)

    def trades(self, *candidates: object) -> CycleRecord:
        self.passes += 1
        self.scene.later(61)
        now = [replace(one, at=self.venue.now) for one in candidates]  # type: ignore[type-var]
        return trade_once(self.world(*now), call(slot=f"entry {self.passes}"))

    @property
    def owner(self) -> str:
        return self.venue.submitted[0].key.strategy

    def targets(self, **quantities: Decimal) -> CycleRecord:
        """Run a pass of entries in which the strategy wants so many contracts or shares."""
        return self.wants(*(Target(symbol, quantity=quantity) for symbol, quantity in quantities.items()))

    def wants(self, *wants: Want) -> CycleRecord:
        self.passes += 1
        self.scene.later(61)
        strategies = [Wanting(*wants, name=self.owner)]
        return trade_once(replace(self.world(), strategies=strategies), call(slot=f"target {self.passes}"))

    def exits(self) -> CycleRecord:
        self.passes += 1
        self.scene.later(61)
        return evaluate_exits(self.world(), call(Job.EVALUATE_EXITS, f"exits {self.passes}"))

    def fill_all(self, quantity: Decimal | None = None) -> None:
        for order in [one for one in self.venue.book.values() if not one.status.terminal]:
            least = None if quantity is None else min(quantity, order.open_quantity)
            self.venue.fill(order.client_order_id, "100", least)

    @property
    def held(self) -> dict[str, Decimal]:
        return {symbol: shares for symbol, shares in self.venue.held.items() if shares}

    @property
    def at_work(self) -> list[str]:
        return [one.symbol for one in self.venue.book.values() if not one.status.terminal]

    def sent(self) -> list[tuple[str, Purpose, Decimal, str]]:
        """Return what was sent since the beginning."""
        later = self.venue.submitted[self.before :]
        return [(i.instrument.symbol, i.purpose, i.quantity, i.why) for i in later if i.operation is Operation.SUBMIT]


@pytest.mark.parametrize("unnamed", [OLD, NEW])
def test_a_contract_that_ends_has_the_sector_of_another_one_on_the_same(unnamed: str) -> None:
    bot = RollingBot()
    shares, bot.unnamed = bot.held[OLD], unnamed
    later = Rolling(DAY + timedelta(days=90), DAY + timedelta(days=95), "LATER", *MORNING)
    new = replace(listing(NEW, underlying="ES"), rolling=later, read_at=bot.venue.now)
    bot.scene.ledger.put_listings([ListingRecord(new)])
    desk = desk_for_entries(bot.world(), Proposals((), ()))
    assert desk.book.sector_exposure == {desk.sectors[OLD]: sum(desk.book.exposure.values())}
    for run in (bot.exits, bot.trades):
        run()
        bot.fill_all()
    assert bot.held == {NEW: shares}


@pytest.mark.parametrize("side", Side)
def test_a_position_is_closed_and_then_opened_again_in_the_next_contract_with_its_stop(side: Side) -> None:
    bot = RollingBot(side)
    shares = bot.held[OLD]
    moved = bot.exits()
    (record,) = moved.candidates
    assert record.candidate.why == f"rolled_into_{NEW}"
    assert Reason.ROLLED in {one.reason for one in record.decisions if one.gate is Gate.EXIT}
    assert ends(bot.trades(wanted(NEW, 0.9, side)))[NEW, Purpose.OPEN] is Reason.OTHER_CONTRACT, "the first leg works"
    bot.fill_all()
    bot.trades()
    bot.fill_all()
    for _ in range(3):
        bot.exits()
        bot.trades()
        bot.fill_all()
    assert bot.sent() == [(OLD, Purpose.CLOSE, abs(shares), f"rolled_into_{NEW}"), (NEW, Purpose.OPEN, abs(shares), "")]
    assert bot.held == {NEW: shares}
    assert bot.venue.submitted[-1].stop_loss_fraction == Decimal("0.04")


@pytest.mark.parametrize(
    ("until", "liquid_in", "moves_now"), [(5, 0, True), (5, 3600, False), (0, 3600, False), (0, -3600, True)]
)
def test_a_position_moves_in_the_hours_that_the_venue_calls_liquid_while_any_are_left(
    until: int, liquid_in: int, moves_now: bool
) -> None:
    bot = RollingBot(until=until)
    begins = bot.venue.now + timedelta(seconds=liquid_in)
    liquid = replace(SESSION, open=begins, close=begins + timedelta(seconds=600))
    record = bot.scene.ledger.listings((OLD,))[OLD]
    hours = Hours(bot.venue.now, SESSION.close, (SESSION,), (liquid,))
    bot.scene.ledger.put_listings([ListingRecord(replace(record.listing, hours=hours))])
    bot.exits()
    assert bool(bot.sent()) is moves_now


@pytest.mark.parametrize(
    ("target", "sent"),
    [(0, [(OLD, Purpose.CLOSE, "rebalance")]), (-1, [(OLD, Purpose.CLOSE, "rebalance")]), (1, [])],
    ids=["flat", "the other side", "the same side"],
)
@pytest.mark.parametrize("side", Side)
def test_target_of_a_contract_closes_what_is_still_held_in_the_one_before_unless_it_is_on_its_side(
    side: Side, target: int, sent: list[tuple[str, Purpose, str]]
) -> None:
    bot = RollingBot(side, on=1)
    shares = bot.held[OLD]
    (record,) = bot.targets(**{NEW: target * shares}).candidates
    assert [(symbol, purpose, why) for symbol, purpose, _, why in bot.sent()] == sent
    decision = next(each for each in record.decisions if each.gate is Gate.TARGET)
    assert (decision.observed, decision.limit) == (shares if sent else 0, target * shares)
    bot.fill_all()
    assert (OLD in bot.held) is not bool(sent)
    if target == -1:
        bot.targets(**{NEW: target * shares})
        bot.fill_all()
        assert {symbol: quantity * shares < 0 for symbol, quantity in bot.held.items()} == {NEW: True}


def test_a_move_goes_on_however_slow_the_bot_is() -> None:
    bot = RollingBot()
    bot.hurry, readings = {"max_decision_ms": 100, "max_sending_ms": 500}, itertools.count()
    # Each reading finds a second more gone.
    bot.stopwatch = lambda: float(next(readings))
    shares = bot.held[OLD]
    bot.exits()
    bot.fill_all()
    bot.trades()
    bot.fill_all()
    assert bot.held == {NEW: shares}


@pytest.mark.parametrize(
    ("on", "until", "hour", "moves"),
    [
        (1, 5, MORNING, False),
        (0, 5, NIGHT, False),
        (-2, 0, NIGHT, True),
        (-9, -3, NIGHT, True),
    ],
)
def test_it_moves_from_its_day_on_in_its_hour_and_at_the_last_at_any_time(
    on: int, until: int, hour: tuple[int, int], moves: bool
) -> None:
    bot = RollingBot(on=on, until=until, hour=hour)
    bot.exits()
    assert bool(bot.sent()) is moves


def halt(bot: RollingBot) -> None:
    bot.scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "lunch", bot.venue.now))


def loosen(bot: RollingBot) -> None:
    bot.scene.permission = Permission(entries_closed=((Reason.CONFIG_LOOSENED, "a limit"),))


def demote(bot: RollingBot) -> None:
    rung = RungReached(Decimal(0), "shadow", "paper", Reason.DEMOTED)
    bot.scene.permission = Permission(awaiting_promotion={bot.owner: rung})


BLOCKS = pytest.mark.parametrize("block", [halt, loosen, demote])


@BLOCKS
def test_a_bot_that_may_not_enter_keeps_its_position_until_the_last_day_and_opens_nothing(
    block: Callable[[RollingBot], None],
) -> None:
    for until, closes in ((5, []), (0, [OLD])):
        bot = RollingBot(until=until)
        block(bot)
        bot.exits()
        bot.fill_all()
        bot.trades()
        assert [sent[0] for sent in bot.sent()] == closes


@BLOCKS
def test_contract_that_waits_for_its_roll_makes_no_target_of_another_symbol_wait(
    block: Callable[[RollingBot], None],
) -> None:
    bot = RollingBot(hour=NIGHT)
    shares = bot.held[OLD]
    bot.targets(JPM=Decimal(10))
    bot.fill_all()
    block(bot)
    bot.targets(**{NEW: shares, "JPM": Decimal(0)})
    bot.fill_all()
    assert bot.held == {OLD: shares}
    # A larger target would need room.
    bot = RollingBot(hour=NIGHT)
    bot.targets(JPM=Decimal(10))
    bot.fill_all()
    block(bot)
    bot.targets(**{NEW: 2 * shares, "JPM": Decimal(0)})
    assert bot.at_work == []


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("filled", [None, Decimal(1)], ids=["wholly closed", "closed in parts"])
@pytest.mark.parametrize("target", [0, -1])
def test_second_half_of_a_roll_opens_nothing_that_the_strategy_no_longer_wants(
    target: int, filled: Decimal | None, side: Side
) -> None:
    bot = RollingBot(side)
    shares = bot.held[OLD]
    bot.exits()
    bot.fill_all(filled)
    bot.targets(**{NEW: target * shares})
    for _ in range(4):
        # Passes in which the strategy isn't asked, because it has times of its own.
        bot.fill_all()
        bot.exits()
        bot.trades()
    assert OLD not in bot.held
    assert bot.held.get(NEW, Decimal(0)) * shares <= 0
    # It wants it again.
    bot.targets(**{NEW: shares})
    bot.fill_all()
    bot.targets(**{NEW: shares})
    bot.fill_all()
    assert bot.held == {NEW: shares}


DECLINED = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, "no")


@pytest.mark.parametrize(
    ("wants", "opened"),
    [
        ([Target(NEW, quantity=Decimal(0), decisions=(DECLINED,))], None),
        ([Target(NEW, quantity=Decimal(3))], 3),
        ([Close(OLD, "its own word")], 0),
    ],
    ids=["declined", "smaller", "closed"],
)
def test_second_half_of_a_roll_opens_what_the_strategy_wants_last(wants: Sequence[Want], opened: int | None) -> None:
    bot = RollingBot()
    shares = bot.held[OLD]
    bot.exits()
    bot.fill_all(Decimal(1))
    bot.wants(*wants)
    for _ in range(9):
        bot.fill_all()
        bot.exits()
        bot.trades()
    assert bot.held.get(NEW, 0) == (shares if opened is None else opened)


def test_second_half_of_a_roll_is_opened_after_a_halt_that_withheld_another_target() -> None:
    bot = RollingBot()
    shares = bot.held[OLD]
    bot.exits()
    halt(bot)
    bot.targets(**{NEW: Decimal(0), "JPM": Decimal(5)})
    bot.fill_all()
    bot.scene.ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "over", bot.venue.now))
    bot.trades()
    bot.fill_all()
    assert bot.held == {NEW: shares}


def test_what_the_first_leg_fills_in_parts_is_opened_once_all_of_it_has_left() -> None:
    bot = RollingBot()
    shares = bot.held[OLD]
    bot.exits()
    bot.fill_all(Decimal(1))
    bot.trades()
    assert [symbol for symbol, *_ in bot.sent()] == [OLD]
    for _ in range(9):
        bot.exits()
        bot.trades()
        bot.fill_all()
    assert bot.held == {NEW: shares}
    assert sum(quantity for symbol, _, quantity, _ in bot.sent() if symbol == NEW) == shares


def test_a_stop_that_closes_what_was_moved_is_not_undone() -> None:
    bot = RollingBot()
    bot.exits()
    bot.fill_all()
    bot.trades()
    bot.fill_all()
    bot.scene.price(NEW, "90")
    bot.exits()
    bot.fill_all()
    assert bot.held == {}
    for _ in range(3):
        bot.trades()
        bot.exits()
    assert bot.held == {}
    assert bot.at_work == []


def test_a_stop_that_is_hit_in_the_hour_closes_for_good() -> None:
    bot = RollingBot()
    bot.scene.price(OLD, "90")
    bot.exits()
    bot.fill_all()
    bot.trades()
    assert [why for *_, why in bot.sent()] != [f"rolled_into_{NEW}"]
    assert (bot.held, bot.at_work) == ({}, [])


def test_nothing_is_owed_to_the_next_contract_while_some_of_the_old_one_is_held() -> None:
    bot = RollingBot()
    bot.exits()
    bot.fill_all(Decimal(1))
    bot.exits()
    desk = desk_for_entries(bot.world(), Proposals((), ()))
    assert [move.owed for move in unfinished_rolls(desk.books, DAY)] == [1]
    assert owed_roll_entries(desk, DAY, lambda at: ()) == []


@pytest.mark.parametrize("pairs", [Pairs.TWO_ORDERS, Pairs.BRACKET])
@pytest.mark.parametrize("side", Side)
def test_what_rests_for_a_position_is_gone_before_it_moves_so_that_nothing_closes_it_twice(
    pairs: Pairs, side: Side
) -> None:
    bot = Apart(capabilities(Edit.IN_PLACE, reduce_only=False, pairs=pairs)).held(10, side)
    bot.exits()
    assert bot.venue.stops()
    leaves = replace(listing(OLD, underlying="ES"), rolling=Rolling(DAY, DAY, NEW, 0, 1440))
    bot.scene.ledger.put_listings([ListingRecord(replace(leaves, read_at=bot.venue.now))])
    for _ in range(3):
        bot.exits()
        at_work = [*bot.venue.working(Purpose.CLOSE), *bot.venue.stops(), *bot.venue.targets()]
        assert sum((order.open_quantity for order in at_work), Decimal(0)) <= 10
    (close,) = bot.venue.working(Purpose.CLOSE)
    assert (close.open_quantity, close.side) == (Decimal(10), Side.SELL if side is Side.BUY else Side.BUY)
    assert bot.venue.asked[-1].why == f"rolled_into_{NEW}"
    bot.venue.fill(close.client_order_id, "100")
    bot.exits()
    assert bot.position == 0
    assert not [*bot.venue.stops(), *bot.venue.targets()]


MOMENTS = ("none", "before", "after")


@settings(max_examples=25)
@given(st.lists(st.sampled_from(MOMENTS), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_a_kill_at_any_point_leaves_a_plan_that_ends_in_the_same_books(kills: list[str], parts: list[int]) -> None:
    bot = RollingBot()
    shares, real = bot.held[OLD], bot.venue.submit
    for number in range(24):
        kill = kills[number] if number < len(kills) else "none"
        bot.venue.submit = dying(real, kill)  # type: ignore[assignment, method-assign]
        try:
            (bot.exits if number % 2 == 0 else bot.trades)()
        except Killed:
            assert kill != "none"
        assert len(bot.at_work) <= 1, "never more than one order of a root"
        bot.fill_all(Decimal(parts[number]) if number < len(parts) and parts[number] else None)
    assert bot.held == {NEW: shares}
    totals = bot.scene.ledger.totals()
    assert {p.symbol: p.quantity for p in totals.own_positions()} == {NEW: shares}
    opened = [one for one in bot.venue.executions if one.symbol == NEW]
    assert sum((one.quantity for one in opened), Decimal(0)) == abs(shares), "nothing was opened twice"


def dying(submit: Callable[[Intent], Reply], kill: str) -> Callable[[Intent], Reply]:
    def sends(intent: Intent) -> Reply:
        if kill == "before":
            raise Killed
        reply = submit(intent)
        if kill == "after":
            raise Killed
        return reply

    return sends


ON = date(2026, 12, 8)
"""The day on which December's contracts on indexes are left by date."""
CHOSEN = "chosen"


class Volumes:
    """Bars that have nothing but volumes; none of them answers without any."""

    def __init__(self, days: Mapping[str, Mapping[date, float]] | None) -> None:
        self.days = days

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        if self.days is None:
            raise TemporaryError("no bars now")
        found = dict[str, Series]()
        for symbol in symbols:
            volumes = self.days.get(symbol, {})
            starts = array(
                "q", [int(datetime(*day.timetuple()[:3], 12, tzinfo=until.tzinfo).timestamp()) for day in volumes]
            )
            found[symbol] = Series(symbol, DAILY, adjusted=False, starts=starts, volume=array("d", volumes.values()))
        return found


def volumes(**each: Sequence[float]) -> dict[str, dict[date, float]]:
    first = date(2026, 12, 1)
    return {
        symbol: {first + timedelta(days=place): float(one) for place, one in enumerate(numbers)}
        for symbol, numbers in each.items()
    }


class Chooser:
    """A bot whose roots stand for contracts, with a session on each day."""

    def __init__(self, days: Mapping[str, Mapping[date, float]] | None) -> None:
        self.scene, self.bars = Scene(), Volumes(days)
        opens = self.scene.venue.now.replace(year=2026, month=11, day=20, hour=14, minute=30)
        self.opens = opens
        nights = (opens + timedelta(days=count) for count in range(40))
        self.scene.ledger.put_sessions([Session(one.date(), one, one + timedelta(hours=6)) for one in nights])

    def world(self, *, dry_run: bool = False) -> World:
        usual = self.scene.world(dry_run=dry_run)
        rules = replace(usual.rules, coin=lambda symbol: root_of(symbol).name, perpetual=symbol_of)
        return replace(usual, rules=rules, bars=self.bars)

    def on(self, day: date, *names: str, hour: int = 0, dry_run: bool = False) -> tuple[str, ...]:
        now = self.opens + (day - self.opens.date()) + timedelta(hours=hour)
        return choose(self.world(dry_run=dry_run), months_of, names or ("MES",), now).symbols

    @property
    def told(self) -> list[Mapping[str, str]]:
        return self.scene.told(CHOSEN)


def test_a_root_stands_for_the_front_month_until_its_day_and_then_for_the_next_one() -> None:
    bot = Chooser(volumes(MESZ6=[9] * 6, MESH7=[1] * 6))
    assert bot.on(ON - timedelta(days=1)) == ("MESZ6",)
    assert bot.on(ON) == ("MESH7",)
    assert [(told["before"], told["by"]) for told in bot.told] == [("", "date"), ("MESZ6", "date")]


def test_charts_names_and_months_written_by_hand_stand_beside_one_another_in_order() -> None:
    bot = Chooser(volumes(MESZ6=[9], MESH7=[1], GCZ6=[9], GCG7=[9]))
    assert bot.on(date(2026, 11, 27), "XAUUSD", "MES", "6EH7") == ("GCG7", "MESZ6", "6EH7")


def test_two_days_of_larger_volume_choose_the_next_month_before_its_date_and_for_good() -> None:
    bot = Chooser(volumes(MESZ6=[9, 1, 1, 9, 9], MESH7=[1, 9, 9, 1, 1]))
    assert bot.on(date(2026, 12, 3)) == ("MESZ6",)
    assert bot.on(date(2026, 12, 4)) == bot.on(date(2026, 12, 7)) == ("MESH7",)
    assert bot.told[-1]["by"] == "volume"


def test_a_session_keeps_its_contract_whatever_becomes_known_during_it() -> None:
    bot = Chooser(None)
    assert bot.on(date(2026, 12, 4)) == ("MESZ6",)
    bot.bars.days = volumes(MESZ6=[9, 1, 1], MESH7=[1, 9, 9])
    assert bot.on(date(2026, 12, 4), hour=2) == ("MESZ6",)
    assert bot.on(date(2026, 12, 5)) == ("MESH7",)
    assert bot.on(date(2026, 12, 5), "MNQ") == ("MNQZ6",)


@pytest.mark.parametrize(
    ("days", "words"), [(None, "no bars now"), (volumes(MESZ6=[9, 9]), "no bars of MESH7, so only the date counts")]
)
def test_without_volumes_only_the_date_counts_and_that_is_told(
    days: Mapping[str, Mapping[date, float]] | None, words: str
) -> None:
    bot = Chooser(days)
    assert bot.on(date(2026, 12, 7)) == ("MESZ6",)
    assert [told["unknown"] for told in bot.told] == [words]


def test_the_venues_own_days_go_before_those_of_the_exchanges_rules() -> None:
    bot = Chooser(volumes(MESZ6=[9], MESH7=[1]))
    leaves = Rolling(date(2026, 12, 4), date(2026, 12, 11), "MESH7", 570, 930)
    bot.scene.venue.listed["MESZ6"] = replace(listing("MESZ6"), rolling=leaves)
    assert bot.on(date(2026, 12, 3)) == ("MESZ6",)
    assert bot.on(date(2026, 12, 4)) == ("MESH7",)


def test_a_dry_run_keeps_and_tells_nothing() -> None:
    bot = Chooser(volumes(MESZ6=[9], MESH7=[1]))
    assert bot.on(ON, dry_run=True) == ("MESH7",)
    assert (bot.scene.facts.discovery().symbols, bot.told) == ((), [])


def test_what_is_held_leaves_at_once_if_the_root_stands_for_the_next_contract_already() -> None:
    leaves = Rolling(ON, date(2026, 12, 17), "MESH7", 570, 930)
    listings = {"MESZ6": replace(listing("MESZ6"), rolling=leaves), "AAPL": listing("AAPL")}
    today = date(2026, 12, 4)
    assert with_earlier_rolls(listings, frozenset(), today) == listings
    rolled = with_earlier_rolls(listings, frozenset({"MESH7"}), today)
    assert (rolled["MESZ6"].rolling, rolled["AAPL"]) == (replace(leaves, on=today), listings["AAPL"])
