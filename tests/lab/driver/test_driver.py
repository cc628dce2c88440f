"""A backtest that leaves out what would change nothing ends as one that runs every pass.

The slots of a session as offsets: the same slots that the timetable has on that day, whole or half.

Each session of a backtest is valued at its close: who holds SPY earns what SPY does, to the cent.
Foreign engines that play the same rules on the same prices fill the same orders, to the cent.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct, field

from benchmarks.support import past_prices
from papervenue.market.bars import usd
from papervenue.market.spec import CLOSE, MODELS, NEXT_BAR, NEXT_OPEN, PAPER, SPECS, MarketSpec
from tests.kit.backtest.drawn import (
    COSTLY,
    DEAR,
    FILLS,
    NAME,
    ON_MARGIN,
    SYMBOLS,
    Drawn,
    Played,
    Whims,
    assembled,
    days,
    driver,
    many_days,
    played,
)
from tests.kit.backtest.drawn import driver as driver_of
from tests.kit.values import SESSION, VENUE_DAY
from tests.suite.tiers import sized
from tradebot.app.settings import load, shipped_path
from tradebot.exits.kinds.stops import StopLoss, TrailingStop
from tradebot.exits.kinds.targets import GainLevel, ScaleOut
from tradebot.exits.kinds.times import LowMovement
from tradebot.lab.backtest.run import BacktestPlan, create_run
from tradebot.lab.driver.driver import grid_of
from tradebot.model.decision import Gate
from tradebot.model.limits import Protection
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, Needs, StrategyView, Target, Want
from tradebot.ports.strategy import Strategy
from tradebot.strategies.rotation import RotationStrategy
from tradebot.timetable.job_times import parse
from tradebot.timetable.sessions import CHAIN, due_at, slots

MARKETS = st.integers(0, sized(2, 50))
EXAMPLES = sized(2, 25)
FILLED_BEFORE_A_PASS_OF_ENTRIES = Drawn(
    seed=0,
    sessions=1,
    symbols=SYMBOLS,
    strategy=Whims(502),
    exits=(
        LowMovement(movement_fraction=Decimal("0.0032"), after_s=701),
        ScaleOut(
            levels=(
                GainLevel(fraction=Decimal("0.0016"), share=Decimal("0.3")),
                GainLevel(fraction=Decimal("0.0032"), share=Decimal("0.4")),
            )
        ),
        StopLoss(fraction=Decimal("0.0085")),
    ),
    protection=Protection.BOTH,
    fill=NEXT_BAR._replace(latency_s=90),
    halts={},
    looks="every 5m",
    entries="every 5m from open+2m until close-15m",
    comparisons="every 30m from open+4m",
    actions=False,
)
"""Entries take down a partial exit's fill, and only the next pass of exits puts the rest's stop at the venue."""
DECLINES = replace(FILLED_BEFORE_A_PASS_OF_ENTRIES, strategy=Whims(502, declines=1.0))
"""Nearly all that is wanted is declined by the strategy itself."""
STOP_THAT_A_NEW_PRICE_ARMS = replace(
    FILLED_BEFORE_A_PASS_OF_ENTRIES,
    strategy=Whims(41, 0.5, targets=True),
    exits=(TrailingStop(fraction=Decimal("0.0038"), arm_fraction=Decimal("0.0034")),),
    protection=Protection.VENUE,
    fill=PAPER,
    comparisons="every 15m from open+1m until close",
    costs=COSTLY,
)
"""A new best price gives a position a stop, which the next pass of exits rests at the venue."""


HIGHEST_BETWEEN_PASSES = Drawn(
    seed=39,
    sessions=25,
    symbols=("AAPL",),
    strategy=Whims(73, 0.7, "first session of week at open+15m", needs=Needs(bars=(BarNeed("1Day", 2),), lots=True)),
    exits=(
        TrailingStop(fraction=Decimal("0.0195"), arm_fraction=Decimal("0.0379")),
        StopLoss(fraction=Decimal("0.0327")),
    ),
    protection=Protection.BOT,
    fill=NEXT_BAR._replace(latency_s=90),
    halts={"drawdown_fraction": Decimal("0.0640"), "daily_loss_fraction": Decimal("0.0167")},
    looks="every 60m",
    entries="every 5m from open+5m until open+30m",
    comparisons="at open+1m",
    actions=True,
    costs=COSTLY,
    daily=True,
)
"""A slot in which nothing is wanted still sees the highest equity, from which later drawdowns are measured."""


class Greedy(Whims, frozen=True):
    """Wants more than any limit allows, and notes what it saw in its slots."""

    times: str = "first session of week at open+5m for 3 sessions"
    needs: Needs = field(default_factory=lambda: Needs(bars=(BarNeed("1Day", 2),), lots=True))
    asked: list[StrategyView] = field(default_factory=list)

    def propose(self, view: StrategyView) -> Sequence[Want]:
        self.asked.extend([view] if view.slot else [])
        return [Target(symbol, weight=Decimal(3)) for symbol in view.universe]


GREEDY = Drawn(
    seed=1,
    sessions=10,
    symbols=SYMBOLS,
    strategy=Greedy(0),
    exits=(),
    protection=Protection.BOT,
    fill=PAPER,
    halts={},
    looks="every 60m",
    entries="every 5m from open+5m until close",
    comparisons="every 15m from open+1m until close",
    actions=False,
    daily=True,
)
"""Each slot is due for three sessions, in which the price changes twice a day."""


class Borrower(Whims, frozen=True):
    """Buys the same share of the account's worth in each symbol, once a month."""

    share: Decimal = Decimal("0.5")
    times: str = "first session of month at open+15m"
    needs: Needs = field(default_factory=lambda: Needs(bars=(BarNeed("1Day", 2),), lots=True))

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return [Target(symbol, weight=self.share) for symbol in view.universe]


BORROWED = replace(
    GREEDY,
    strategy=Borrower(0),
    # Paper fills depend on the orders' ids, and so on the name of the market's file.
    fill=FILLS[3],
    entries="at open+15m",
    sessions=60,
    actions=True,
    costs=COSTLY,
    limits=ON_MARGIN,
)
"""Interest is posted each night, and dividends now and then."""
RUINED = replace(BORROWED, costs=DEAR, halts={"drawdown_fraction": Decimal("0.2")})
"""Interest takes what prices leave, until a monitor halts the bot."""


@given(days(MARKETS, sized(1, 3)))
@example(FILLED_BEFORE_A_PASS_OF_ENTRIES)
@example(DECLINES)
@example(STOP_THAT_A_NEW_PRICE_ARMS)
@hypothesis.settings(max_examples=EXAMPLES)
def test_passes_are_left_out_only_if_they_would_change_nothing(drawn: Drawn) -> None:
    quick, driver = played(drawn, every_pass=False)
    thorough, other = played(drawn, every_pass=True)
    assert quick == thorough
    assert driver.count.ran <= other.count.ran == other.count.due


def test_what_its_strategy_declines_needs_no_desk_while_nothing_changes() -> None:
    passes = dict[bool, Sequence[CycleRecord]]()
    for every_pass in (False, True):
        made = assembled(DECLINES)
        plays = driver_of(DECLINES, made, every_pass=every_pass)
        plays.reconcile()
        for session in made.sessions:
            plays.play(session)
        passes[every_pass] = made.facts.cycles(job=Job.TRADE_ONCE)
    quick, thorough = passes.values()
    assert [(one.id, one.at, one.candidates) for one in quick] == [(one.id, one.at, one.candidates) for one in thorough]
    blind = [one for one in quick if one.equity is None]
    assert all(one.equity is not None for one in thorough)
    assert len(blind) > 5
    assert {record.terminal and record.terminal.gate for one in blind for record in one.candidates} == {Gate.STRATEGY}
    assert len(blind) < len(quick), "a pass after a change looks"


@pytest.mark.campaign
@given(many_days(MARKETS, 25))
@example(BORROWED)
@example(replace(BORROWED, costs=DEAR._replace(posted="month")))
@example(RUINED)
@example(replace(BORROWED, strategy=Borrower(0, share=Decimal(0)), costs=DEAR))
@hypothesis.settings(max_examples=EXAMPLES)
def test_sessions_are_passed_by_only_if_they_would_change_nothing(drawn: Drawn) -> None:
    quick, driver = played(drawn, every_pass=False)
    thorough, other = played(drawn, every_pass=True)
    assert quick == thorough
    assert driver.count.ran <= other.count.ran == other.count.due == driver.count.due


@pytest.mark.campaign
def test_interest_of_each_night_makes_no_pass_run() -> None:
    needs = Needs(bars=(BarNeed("1Day", 2),), lots=True)
    once = Whims(7, 1.0, "first session of month at open+15m", targets=True, needs=needs)
    entries = "every 5m from open+5m until open+30m"
    free = replace(GREEDY, strategy=once, fill=FILLS[3], entries=entries, sessions=40)
    drawn = replace(free, costs=COSTLY)
    quick, driver = played(drawn, every_pass=False)
    assert quick == played(drawn, every_pass=True)[0]
    assert quick.fills
    assert len({moved.at for moved in quick.moved}) > 30, "interest was posted"
    assert driver.count.ran <= played(free, every_pass=False)[1].count.ran + 5


def test_sessions_of_an_account_that_has_borrowed_are_passed_by() -> None:
    quick, driver = played(BORROWED, every_pass=False)
    paid = {moved.at for moved in quick.moved if moved.kind == "INT" and moved.amount_usd < 0}
    assert len(paid) > 50
    assert any(moved.kind == "DIV" for moved in quick.moved)
    assert driver.count.ran < len(paid)


@pytest.mark.campaign
def test_slot_in_which_nothing_is_wanted_still_notes_the_highest_equity() -> None:
    quick, thorough = (played(HIGHEST_BETWEEN_PASSES, every_pass=every_pass)[0] for every_pass in (False, True))
    assert quick == thorough
    assert quick.peak == thorough.peak


@pytest.mark.campaign
def test_slot_whose_targets_limits_refuse_is_asked_about_again_only_at_new_prices() -> None:
    asked = dict[bool, list[StrategyView]]()
    ended = list[Played]()
    for every_pass in (False, True):
        strategy = Greedy(0)
        ended.append(played(replace(GREEDY, strategy=strategy), every_pass=every_pass)[0])
        asked[every_pass] = strategy.asked
    quick, thorough = ended
    assert quick == thorough
    assert quick.fills, "nothing was traded"
    slots = {view.now for view in asked[True]}
    assert {view.now for view in asked[False]} == slots, "each is asked about, and sees the moment it began"
    assert len(asked[True]) > 300
    assert len(asked[False]) < 100


TIMETABLE = {
    Job.FETCH_FLOW: parse("every 5m from open+2m until close", VENUE_DAY),
    Job.SCORE: parse("every 30m from open+2m until close", VENUE_DAY),
    Job.EVALUATE_EXITS: parse("every 1m from open+1m until close", VENUE_DAY),
    Job.TRADE_ONCE: parse("every 5m from open+2m until close-15m", VENUE_DAY),
    Job.RECONCILE: parse("at open+1m, at close-10m", VENUE_DAY),
}


@pytest.mark.parametrize("minutes", [390, 210])
def test_grid_has_the_slots_of_its_session(minutes: int) -> None:
    session = type(SESSION)(SESSION.date, SESSION.open, SESSION.open + timedelta(minutes=minutes))
    grid = grid_of(TIMETABLE, session)
    for offset, due in zip(grid.offsets, grid.due, strict=True):
        found = [(slot.job, slot.name) for slot in due_at(TIMETABLE, session, session.open + offset)]
        assert list(due) == found
    assert grid.count == sum(len(slots(job, TIMETABLE[job], session)) for job in CHAIN)


def test_slot_places_are_found_forward_and_backward() -> None:
    grid = grid_of(TIMETABLE, SESSION)

    def at(place: int) -> datetime:
        return SESSION.open + grid.offsets[place]

    assert at(grid.next_of(Job.RECONCILE, 1)) == SESSION.close - timedelta(minutes=10)
    assert at(grid.last_of(Job.RECONCILE, len(grid.offsets))) == SESSION.close - timedelta(minutes=10)
    assert grid.next_of(Job.RECONCILE, len(grid.offsets)) == len(grid.offsets)
    assert grid.last_of(Job.TRADE_ONCE, 1) == -1
    assert dict(grid.due[1])[Job.EVALUATE_EXITS] == "open+2m"


SHARES = Decimal(10)


class Holder(Struct, frozen=True):
    """A strategy that buys SPY once."""

    needs: Needs = Needs(lots=True)
    times: str = ""
    name: str = NAME

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return () if "SPY" in view.lots else (Target("SPY", quantity=SHARES),)


def holding(model: str, *, daily: bool) -> Drawn:
    rare: dict[str, Any] = {"looks": "at open+1m", "entries": "at open+5m", "comparisons": "at open+1m"}
    spy: dict[str, Any] = {"seed": 4, "sessions": 12 if daily else 2, "symbols": ("SPY",), "fill": SPECS[model]}
    return replace(GREEDY, strategy=Holder(), daily=daily, **rare, **spy)


@pytest.mark.parametrize("daily", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_holder_of_spy_earns_what_spy_does_from_close_to_close(model: str, daily: bool) -> None:
    drawn = holding(model, daily=daily)
    made = assembled(drawn)
    ends = list(map(driver(drawn, made, every_pass=False).play, made.sessions))
    fills, cash = [owned.fill for owned in made.ledger.fills()], made.ledger.opening_cash()
    assert fills, "nothing was bought"
    for place, (end, session) in enumerate(zip(ends, made.sessions, strict=True)):
        close = usd(made.engine.market.day("SPY", place).bars[-1].close)
        earned = sum(fill.quantity * (close - fill.price) for fill in fills if fill.at <= session.close)
        assert (end.equity, end.equity_at, end.marked_at) == (cash + earned, session.close, session.close)
        assert end.marks == ({"SPY": close} if earned else {})
    assert list(made.facts.session_ends(date.min, date.max)) == ends


def test_equity_at_the_last_fill_values_no_session() -> None:
    drawn = holding("close", daily=True)
    known, stale = assembled(drawn), assembled(drawn, equity_at="last_fill")
    ends = [list(map(driver(drawn, made, every_pass=False).play, made.sessions)) for made in (known, stale)]
    assert known.world.reader.account().equity != stale.world.reader.account().equity
    assert ends[0] == ends[1]


ROOT = Path(__file__).resolve().parents[2]
FUNDS = ("SPY", "XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLB", "TLT")
"""Funds that have traded for all of the ten years; the last one is held if no other has gained."""
BEFORE = 150
"""How many sessions a rule of days has seen before it trades."""
FIRST, DAYS, MINUTES = date(2014, 5, 30), sized(250, 2_520), sized(4, 60)
MINUTE = timedelta(minutes=1)
SETTINGS = "studies/rotation_published.yaml"
"""Settings without a limit or a halt that could get in the way."""
ROTATION: dict[str, object] = {"ranked": FUNDS[:-1], "defensive": FUNDS[-1]}
OFTEN = {"trade-once": "every 5m from open+5m until close-15m", "evaluate-exits": "every 5m from open+1m until close"}
DAILY = {"source": "daily", "prices": "adjusted", "fill": CLOSE._replace(quotes="last")}
RECORDED = {"source": "csv", "bar_stamp": "start", "fill": NEXT_OPEN._replace(quotes="last")}

Fill = tuple[date | datetime, str, int, Decimal]
"""When, what, how many (negative if sold), and at which price."""


class Rule(Struct, frozen=True):
    """A rule for SPY alone, asked at its times."""

    name: str
    needs: Needs
    times: str = "at open+5m"

    def propose(self, view: StrategyView) -> Sequence[Target]:
        if "SPY" not in view.universe:
            return ()
        held = view.lots["SPY"].quantity if "SPY" in view.lots else 0
        weight = self.weight(view, float(held))
        return () if weight is None else (Target("SPY", Decimal(weight)),)

    def weight(self, view: StrategyView, held: float) -> str | None:
        """Return the share of the equity to hold; None to keep what is held."""
        raise NotImplementedError


class Hold(Rule, frozen=True):
    def weight(self, view: StrategyView, held: float) -> str | None:
        return None if held else "0.98"


class Crossing(Rule, frozen=True):
    def weight(self, view: StrategyView, held: float) -> str | None:
        closes = view.bars("SPY").close
        above = round(fmean(closes[-20:]) - fmean(closes), 6) > 0
        return None if above == bool(held) else "0.98" if above else "0"


class Reversion(Rule, frozen=True):
    def weight(self, view: StrategyView, held: float) -> str | None:
        closes = view.bars("SPY", "5Min").close
        far = (closes[-1] - fmean(closes)) / (pstdev(closes) or 1)
        if held:
            return "0" if far * held >= 0 else None
        return None if abs(far) < 2 else "-0.5" if far > 0 else "0.5"


RULES: Sequence[Strategy] = (
    Hold("hold", Needs(bars=(BarNeed("1Day", 1),), lots=True)),
    Crossing("crossing", Needs(bars=(BarNeed("1Day", 100),), lots=True)),
    RotationStrategy(ROTATION),
    Reversion("reversion", Needs(bars=(BarNeed("5Min", 12),), lots=True), "every 5m from open+1h until close-30m"),
)


def ours(rule: Strategy, path: Path, days: Sequence[date], **market: Any) -> list[Fill]:
    """Play a rule as `backtest` does; a fill is dated by its session, or by the minute in which it was."""
    symbols = FUNDS if rule.name == "rotation" else FUNDS[:1]
    own = {"times": rule.times, "exits": []} | (ROTATION if rule.name == "rotation" else {})
    changes: dict[str, object] = {
        "universe": list(symbols),
        "sectors": dict.fromkeys(symbols, "technology"),
        "strategies": {"rotation": None} | {rule.name: own},
    }
    spec = MarketSpec(start=days[0], path=str(path), symbols=symbols, sessions=len(days), **market)
    daily = spec.source == "daily"
    settings = load(shipped_path(SETTINGS), {}, changes | ({} if daily else {"timetable": OFTEN})).settings
    run = create_run(BacktestPlan(settings, spec), [rule])
    while not run.is_complete:
        run.step()
    fills = [owned.fill for owned in run.made.ledger.fills()]
    at = [f.at.date() if daily else f.at.replace(tzinfo=None) - MINUTE for f in fills]
    return sorted((at, f.symbol, int(f.signed_quantity), f.price) for at, f in zip(at, fills, strict=True))


def compare(rule: Strategy, path: Path, days: Sequence[date], least: int, **market: Any) -> None:
    """Play a rule in each engine that can; it has to trade at least so often."""
    # Imported only here, because every process of a run reads all test modules.
    from benchmarks.support import foreign

    frames = foreign.read(path, days[-1])
    known = frames if rule.name == "rotation" else {"SPY": frames["SPY"]}
    # In a market of minutes, nothing is bought in the first session: it has no close before it to judge prices by.
    daily = market["source"] == "daily"
    played = foreign.Played(known, days[0 if daily else 1], refuge=FUNDS[-1])
    found = ours(rule, path, days, **market)
    assert len(found) >= least
    for name, engine in foreign.ENGINES.items():
        if rule.name in foreign.RULES[name]:
            fills = engine(rule.name, played)
            assert found == sorted((f.at.date() if daily else f.at, *f[1:]) for f in fills), name


@pytest.mark.campaign
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_foreign_engines_fill_as_ours_at_drawn_prices(rule: Strategy, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    if rule.name == "reversion":
        past_prices.minutes(path, "SPY", FIRST, 390 * MINUTES)
        compare(rule, path, past_prices.sessions(FIRST, MINUTES), 4 * MINUTES, **RECORDED)
    else:
        days = past_prices.sessions(FIRST, BEFORE + DAYS)
        past_prices.daily(path, FUNDS if rule.name == "rotation" else FUNDS[:1], days)
        compare(rule, path, days[BEFORE:], 1, **DAILY)


@pytest.mark.campaign
@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.name)
def test_foreign_engines_fill_as_ours_in_ten_years_of_etf_days(rule: Strategy, tmp_path: Path) -> None:
    places = (folder / "shared" / "data" / "market" / "etf_daily_adj.parquet" for folder in ROOT.parents[:2])
    file = next((place for place in places if place.exists()), None)
    if file is None:
        pytest.skip("shared/data has no etf_daily_adj.parquet")
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    path, days = tmp_path / "days.csv", past_prices.sessions(FIRST, BEFORE + 2_520)
    prices = "date::DATE AS date, symbol, open, high, low, close, volume, dividends, stock_splits"
    which = f"symbol IN {FUNDS} AND date BETWEEN '{days[0]}' AND '{days[-1]}'"
    duckdb.sql(f"SELECT {prices} FROM '{file}' WHERE {which} ORDER BY symbol, date").write_csv(str(path))  # noqa: S608
    compare(rule, path, days[BEFORE:], 1 if rule.name == "hold" else 20, **DAILY)
