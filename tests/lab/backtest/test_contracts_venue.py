"""The bot's broker on an engine of futures says, value for value, what the adapter says over the exchange's socket.

A backtest at Kraken leaves out the passes in which nothing is at stake, and nothing comes of it.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from commands.backtest.run_backtest import result_of
from exchange.tests.kit.cable import PORT, lay_cable
from papervenue.engine.engine import Engine
from papervenue.exchange import Exchange, open_exchange, tick_to
from papervenue.market.coins import kraken_venue
from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_BAR, MarketSpec
from papervenue.process import create
from papervenue.times import from_datetime
from tests.kit.adapters.ibkr import AT_ONCE, EPOCH, ES
from tests.kit.backtest.playing import generated, lines_of, opened_from, written
from tests.kit.bot.futures import INDEXES
from tests.kit.values import new_intent
from tests.lab.backtest.roads import Stub, play_to_end
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.settings import load
from tradebot.lab.backtest.contracts_venue import ContractOrders, EngineLink, EngineReader, PlayedMarket
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.backtest.required_contracts import describe_missing_contracts
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.order import OrderClass, OrderType, Reply, TimeInForce
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.model.view import BarNeed, Close, Open, StrategyView, Target, Want
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.futures_settings import FuturesSettings
from tradebot.venues.ibkr.capabilities import TRADING_ID
from tradebot.venues.ibkr.link import IbkrLink, IbkrVenue, LinkTimeouts
from tradebot.venues.ibkr.orders import IbkrOrders
from tradebot.venues.ibkr.prices import IbkrBars
from tradebot.venues.ibkr.reader import IbkrReader

START, SYMBOL, LATER, ENDED = date(2026, 12, 7), "ESZ6", "ESH7", "ESU6"
SYMBOLS = (SYMBOL, LATER, ENDED, "ESX6")
OPENS = datetime(2026, 12, 7, 15, 0, tzinfo=EPOCH.tzinfo)


class Way(NamedTuple):
    """One exchange, and a process that asks it."""

    exchange: Exchange
    reader: IbkrReader
    orders: IbkrOrders

    @property
    def engine(self) -> Engine:
        return self.exchange.engine

    def advance(self, to: datetime) -> None:
        status, _ = self.exchange.run(tick_to(from_datetime(to)))
        assert status == 200
        self.exchange.record()

    def seen(self) -> dict[str, Any]:
        """Return everything that a bot reads, without the age of prices that only a clock on the wall tells."""
        reader, now = self.reader, EPOCH + timedelta(microseconds=self.engine.now_us)
        quotes = reader.quotes(SYMBOLS)
        return {
            "clock": reader.clock(),
            "account": reader.account(),
            "view": reader.view(),
            "positions": [reader.position(one) for one in SYMBOLS],
            "ended": reader.ended(now - timedelta(days=1)),
            "orders": reader.orders_of(SYMBOLS),
            "fills": reader.fills(None),
            "recent": reader.fills(now - timedelta(hours=1)),
            "activities": reader.activities(now - timedelta(days=3)),
            "calendar": reader.calendar(START, START + timedelta(days=9), "CMEGlobex_GC"),
            "listings": {name: replace(one, read_at=now) for name, one in reader.listings(SYMBOLS).items()},
            "quotes": {name: replace(one, at=now) for name, one in quotes.items()},
            "rejected": set(reader.rejected_quotes),
        }


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Way, Way]]:
    """Yield two exchanges of the same market: one that is asked over its socket, and one whose engine is."""
    venue = futures_venue(START, 3, ("ES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    fill = NEXT_BAR._replace(volume_share=Decimal("0.00002"))
    spec = MarketSpec(start=START, symbols=symbols, sessions=3, seed=5, fill=fill, venue=venue, cash=Decimal(500_000))
    exchanges = []
    for name in ("far", "near"):
        create(tmp_path / name, spec)
        exchanges.append(open_exchange(tmp_path / name))
    lay_cable(monkeypatch.setattr).connect(exchanges[0], lambda fields: None)
    link = IbkrLink("127.0.0.1", PORT, TRADING_ID, AT_ONCE, LinkTimeouts(0.5, 0.5, 0.5, 0.5, reads_a_second=0))
    far = IbkrVenue(Mode.SANDBOX, link)
    near = EngineLink(exchanges[1].engine)
    reader = EngineReader(near)
    yield (
        Way(exchanges[0], IbkrReader(far, DriftTally()), IbkrOrders(far, DriftTally())),
        Way(exchanges[1], reader, ContractOrders(reader)),
    )
    link.close()
    near.close()


class Whim:
    """Makes intents, each the same for both."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def intent(self, now: datetime, side: Side, **changes: Any) -> Intent:
        key = IntentKey("A", "flow", START, f"slot {next(self._numbers)}", SYMBOL, side, Purpose.OPEN)
        usual = {"quantity": Decimal(2), "order_type": OrderType.MARKET, "at": now}
        return new_intent(key, ES, **usual | changes)


def test_each_step_of_a_day_is_told_and_answered_alike(sides: tuple[Way, Way]) -> None:
    far, near = sides
    whim, at = Whim(), OPENS
    fills = 0

    def goes_on(**span: int) -> None:
        nonlocal at, fills
        at += timedelta(**span)
        for side in sides:
            side.advance(at)
        told = far.seen()
        assert near.seen() == told
        fills = max(fills, len(told["fills"]))

    def both(what: str, intent: Intent) -> Reply:
        first, second = (getattr(side.orders, what)(intent) for side in sides)
        assert isinstance(first, Reply)
        assert second == first
        told = far.seen()
        assert near.seen() == told
        return first

    goes_on(minutes=0)
    price = Decimal(str(far.reader.quotes([SYMBOL])[SYMBOL].last)).quantize(Decimal("0.25"))
    below, far_below, above = price - 20, price - 400, price + 400
    stop = {"order_class": OrderClass.BRACKET, "stop_price": below}
    entry = both("submit", whim.intent(at, Side.BUY, **stop))
    assert entry.order is not None
    goes_on(minutes=2)
    goes_on(minutes=5)
    # What is held is protected by a target beside its stop, and the stop gets another price.
    leg = far.reader.legs(entry.order.venue_id)[0]
    assert near.reader.legs(entry.order.venue_id) == [leg]
    protects = {"purpose": Purpose.PROTECT, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    aim = whim.intent(at, Side.SELL, **protects, limit_price=above)
    target = both("submit", replace(aim, key=replace(aim.key, role=Purpose.PROTECT)))
    moved = whim.intent(at, Side.SELL, order_type=OrderType.STOP, stop_price=below + 1, operation=Operation.REPLACE)
    both("replace", replace(moved, target_venue_id=leg.venue_id))
    resting = both("submit", whim.intent(at, Side.BUY, order_type=OrderType.LIMIT, limit_price=far_below))
    assert resting.order is not None
    # What can't be is refused in the same words.
    both("submit", whim.intent(at, Side.BUY, order_type=OrderType.LIMIT, limit_price=price + Decimal("0.10")))
    both("submit", whim.intent(at, Side.BUY, quantity=Decimal(100_000)))
    both("submit", whim.intent(at, Side.BUY, quantity=Decimal(100_000), **stop))
    ends = whim.intent(at, Side.BUY, operation=Operation.CANCEL)
    for venue_id in (resting.order.venue_id, resting.order.venue_id, "77", leg.venue_id):
        both("cancel", replace(ends, target_venue_id=venue_id))
    assert target.order is not None
    goes_on(hours=2)
    both("submit", whim.intent(at, Side.SELL, quantity=Decimal(5)))
    goes_on(minutes=3)
    # Through the afternoon's break, into the next trade date, and over midnight in Chicago.
    for hours in (5, 2, 6, 9):
        goes_on(hours=hours)
    both("submit", whim.intent(at, Side.BUY, quantity=Decimal(5)))
    goes_on(minutes=4)
    assert fills > 3


def test_bars_are_those_of_the_socket(sides: tuple[Way, Way]) -> None:
    for side in sides:
        side.advance(OPENS)
    for timeframe, first in (("5Min", timedelta(hours=20)), ("1Hour", timedelta(days=4)), ("1Day", timedelta(days=30))):
        pages = [
            [*IbkrBars(side.reader._venue, DriftTally()).pages([SYMBOL, "ESX6"], timeframe, OPENS - first, OPENS)]
            for side in sides
        ]
        assert pages[1] == pages[0]
        assert sum(len(page[SYMBOL]) for page in pages[0]) > 10


def test_contract_that_has_never_had_a_price_has_no_quote_and_no_known_margin(tmp_path: Path) -> None:
    spec = generated(date(2026, 12, 7), 1, "MES")
    rows = lines_of(open_market_in_memory(spec).market(), ["MESZ6"], [0])
    played = PlayedMarket(opened_from(written(tmp_path / "bars.csv", rows), spec))
    reader, names = played.reader, ("MESZ6", "MESH7")
    played.engine.advance(played.engine.market.calendar.market[0].open_us)
    assert {name: one.margin_levels for name, one in reader.listings(names).items()} == dict.fromkeys(names, ())
    assert reader.quotes(names) == {}
    played.engine.advance(played.engine.now_us + 60_000_000)
    assert {name: len(one.margin_levels) for name, one in reader.listings(names).items()} == {"MESZ6": 1, "MESH7": 0}
    assert [*reader.quotes(names)] == ["MESZ6"]
    played.link.close()


class Long(Stub, frozen=True):
    """Wants one contract of each root, and no more."""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return [Target(symbol, quantity=Decimal(1)) for symbol in view.universe]


def rolled() -> BacktestRun:
    """Return a backtest of three sessions, in which December's contract is left for March's."""
    spec = replace(generated(date(2026, 12, 7), 3, "MES"), cash=Decimal(1_000_000))
    changes = {
        **yaml.safe_load(INDEXES.configuration),
        "timetable": {
            "evaluate-exits": "every 5m from open+1m until close",
            "trade-once": "every 60m from open+5m until close",
            "reconcile": "every 2m from open+1m until close",
            "score": "at close-10m",
        },
    }
    plan = BacktestPlan(load(None, {}, changes).settings, spec, level=RecordLevel.FULL)
    return play_to_end(create_run(plan, [Long("flow")]))


@pytest.mark.campaign
def test_bars_from_before_the_calendar_of_the_books_are_those_of_the_venue() -> None:
    spec = generated(date(2026, 12, 7), 1, "MES")
    run = create_run(BacktestPlan(load(None, {}, ROLLING).settings, spec), [])
    need, at = BarNeed("4Hour", 100), run.made.sessions[-1].close
    (series,) = run.made.world.bars.closed(need, ["MESZ6"], at).values()
    first = run.made.ledger.sessions(date(2020, 1, 1), date(2027, 1, 1))[0]
    assert series.starts[0] < first.open.timestamp()
    run.made.close()


@pytest.mark.campaign
def test_a_position_is_moved_into_the_next_contract_and_its_profit_is_of_raw_prices() -> None:
    run = rolled()
    assert (run.opening, run.closing) == (0, 0)
    books = run.made.ledger
    fills = [one.fill for one in books.fills()]
    assert [(one.symbol, one.side) for one in fills] == [("MESZ6", Side.BUY), ("MESZ6", Side.SELL), ("MESH7", Side.BUY)]
    opened, closed, again = fills
    assert timedelta(0) < again.at - closed.at < timedelta(hours=1)
    closing = next(one.intent for one in books.intents() if one.intent.purpose is Purpose.CLOSE)
    assert closing.why == "rolled_into_MESH7"
    paid = sum((-fill.notional for fill in (opened, closed)), Decimal(0))
    fees = sum((one.amount_usd for one in books.cash_movements()), Decimal(0))
    assert run.ends[-1].equity is not None
    assert run.ends[-1].equity == 1_000_000 + paid + (run.ends[-1].marks["MESH7"] - again.price) * 5 + fees
    # The position goes on in the next contract, so no trade is closed yet.
    result = result_of(run)
    assert (result.trades, result.still_open, result.fills) == (0, 1, 3)


ROLLING: dict[str, Any] = {
    "venue": "ibkr",
    "universe": ["MES"],
    "sectors": {"MES": "indexes", "GC": "metals", "6E": "currencies"},
    "strategies": {"flow": None, "futures": {"contracts": 1, "allotment_fraction": 1, "exits": []}},
    "limits": {
        "max_order_notional_usd": 10_000_000,
        "max_order_fraction": 9,
        "max_symbol_fraction": 9,
        "max_sector_fraction": 9,
        "max_gross_fraction": 9,
        "max_contracts": 3,
        "max_reconcile_age_s": 7_200,
    },
    "timetable": {
        "evaluate-exits": "every 15m from open+1m until close",
        "trade-once": "every 90m from open+5m until close",
        "reconcile": "every 15m from open+10m until close",
    },
}


def told_of(run: BacktestRun) -> dict[str, Any]:
    """Return what a backtest says of itself.

    Numbers of orders follow from a market's specification, and so does the order of what happens at one moment.
    """
    books, facts = run.made.ledger, run.made.facts
    fills = [
        (one.at, one.symbol, one.side.value, one.quantity, one.price) for one in (row.fill for row in books.fills())
    ]
    found: dict[str, Any] = {
        "fills": sorted(fills),
        "ends": [(end.session, end.equity, end.marks) for end in run.ends],
        "compared": (run.opening, run.closing),
        "cash": sorted((one.kind, one.amount_usd) for one in books.cash_movements()),
        "result": result_of(run),
    }
    for job in (Job.TRADE_ONCE, Job.EVALUATE_EXITS):
        found[job] = [
            (each.slot, each.equity, each.job_decision, *sorted(each.candidates, key=lambda one: one.candidate.symbol))
            for each in (_without_numbers(one) for one in facts.cycles(job=job))
        ]
    return found


def _without_numbers(record: CycleRecord) -> CycleRecord:
    return replace(record, candidates=tuple(replace(one, client_order_id=None) for one in record.candidates))


def both_ways(folder: Path, spec: MarketSpec, kept: Sequence[str], before: int) -> tuple[BacktestRun, BacktestRun]:
    """Return a backtest of a generated market, and one of what was written of it with sessions before."""
    universe = list(dict.fromkeys(symbol[:-2] for symbol in kept))
    settings = load(None, {}, {**ROLLING, "universe": universe}).settings
    rule, market = FuturesSettings().model_dump(), open_market_in_memory(spec)
    path = written(folder / "bars.csv", lines_of(market.market(), kept, range(-before, spec.sessions)))
    opened = opened_from(path, spec)
    assert (opened.unused, describe_missing_contracts(settings, opened)) == ("", "")
    runs = [
        play_to_end(
            create_run(BacktestPlan(settings, each.spec, level=RecordLevel.FULL), [FuturesStrategy(rule)], each)
        )
        for each in (market, opened)
    ]
    return runs[0], runs[1]


def test_market_that_was_written_down_is_played_as_the_one_that_is_generated(tmp_path: Path) -> None:
    made, read = both_ways(tmp_path, generated(date(2026, 12, 7), 2, "MES"), ("MESZ6", "MESH7"), 2)
    told = told_of(made)
    assert told_of(read) == told
    # The second session is that of the roll.
    assert {symbol for _, symbol, *_ in told["fills"]} == {"MESZ6", "MESH7"}
    assert {len(one) for one in told["ends"]} == {3}


@pytest.mark.campaign
def test_markets_of_other_groups_that_were_written_down_are_played_alike(tmp_path: Path) -> None:
    spec = replace(generated(date(2026, 11, 18), 8, "MES", "GC", "6E"), cash=Decimal(5_000_000))
    made, read = both_ways(tmp_path, spec, ("MESZ6", "MESH7", "GCZ6", "GCG7", "6EZ6", "6EH7"), 25)
    told = told_of(made)
    assert told_of(read) == told
    # Gold is left before its first notice, and Thanksgiving has other hours for each.
    assert {symbol for _, symbol, *_ in told["fills"]} == {"MESZ6", "GCZ6", "GCG7", "6EZ6"}


COINS = ("PF_XBTUSD", "PF_ETHUSD")


class Sometimes(Stub, frozen=True):
    """Holds a coin for an hour or until its stop or target is reached, and then waits for long."""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        chance = random.Random(view.now.isoformat())  # noqa: S311
        closes = [Close(symbol, "enough") for symbol in view.lots]
        if closes or chance.random() < 0.7:
            return closes
        side = chance.choice((Side.BUY, Side.SELL))
        near = Decimal("0.003")
        want = Open(chance.choice(COINS), side, 0.8 * side.sign, 1.0, stop_loss_fraction=near)
        return [replace(want, profit_target_fraction=near, atr_fraction=near)]


def played(*, every_pass: bool) -> BacktestRun:
    spec = MarketSpec(
        start=date(2026, 11, 16), symbols=COINS, sessions=2, seed=7, venue=kraken_venue(7, COINS), cash=Decimal(50_000)
    )
    changes = {
        "venue": "kraken_futures",
        "universe": list(COINS),
        "strategies": {"flow": None, "rotation": None, "sometimes": {"exits": []}},
        "timetable": {
            "evaluate-exits": "every 15m from open+1m until close",
            "trade-once": "every 60m from open+1m until close",
            "reconcile": "every 30m from open+1m until close",
            "score": "at close-10m",
        },
    }
    settings = load(None, {}, changes).settings
    plan = BacktestPlan(settings, spec, level=RecordLevel.FULL, every_pass=every_pass)
    return play_to_end(create_run(plan, [Sometimes("sometimes")]))


@pytest.mark.campaign
def test_passes_of_a_flat_account_are_left_out_and_change_nothing() -> None:
    whole, quick = played(every_pass=True), played(every_pass=False)
    for of in (whole, quick):
        assert (of.opening, of.closing) == (0, 0)
    books, others = whole.made.ledger, quick.made.ledger
    assert len({one.fill.venue_order_id for one in books.fills()}) > 8, "it hardly traded"
    assert others.fills() == books.fills()
    assert others.orders() == books.orders()
    assert others.intents() == books.intents()
    assert others.cash_movements() == books.cash_movements()
    assert others.account_state().peak == books.account_state().peak
    assert quick.ends == whole.ends
    cycles = [of.made.facts.cycles(job=Job.TRADE_ONCE) for of in (whole, quick)]
    decided = [[one for one in of if one.candidates] for of in cycles]
    assert decided[0] == decided[1] != []
    ran = whole.driver.count.ran - quick.driver.count.ran
    assert ran > whole.driver.count.due / 4, "most of the time the account is flat"
