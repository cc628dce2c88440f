"""A bot on daily bars: the same bars on both roads, history from the first session on, and nothing from later."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.tests.kit.app import World
from papervenue.market.sessions import build_calendar
from papervenue.market.spec import DayPrices, MarketSpec
from papervenue.times import rfc3339
from tests.kit.core.scene import trade_once
from tests.lab.backtest.roads import road_to
from tests.lab.backtest.test_bars import told
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.app.settings import load
from tradebot.desk.proposals import propose
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.setup import BacktestSetup, assemble
from tradebot.model.record import Job
from tradebot.model.view import BarNeed, Needs
from tradebot.ports import StrategyView, Target
from tradebot.ports.world import Call
from tradebot.reconciliation.reconcile import reconcile

HEADER = "date,symbol,open,high,low,close,volume,dividends,stock_splits"
CALENDAR = build_calendar(date(2025, 3, 3), 6)
DATES = [session.date for session in CALENDAR.all[CALENDAR.first - 40 : CALENDAR.first + 6]]
NEED, RAW = BarNeed("1Day", 20), BarNeed("1Day", 20, adjusted=False)
KNOWN = 3
"""How many sessions of the market the runs below have in common."""
SETTINGS = load(
    None,
    {},
    {
        "universe": ["AAPL", "SPY"],
        "limits": {"max_quote_age_s": 86_400, "max_order_notional_usd": 60_000, "max_concentration": 1},
    },
)


def adjusted_file(path: Path, later: str) -> Path:
    """Write a vendor's file of two symbols; only what comes after the known sessions differs with `later`."""
    lines = [HEADER]
    for symbol, base in (("AAPL", 20_000), ("SPY", 50_000)):
        rows = [_traded(symbol, base, place, later) for place in range(len(DATES))]
        rows = rows[: -6 + KNOWN] if later == "end" else rows
        lines += _adjusted(symbol, rows)
    path.write_text("\n".join(lines) + "\n")
    return path


def _traded(symbol: str, base: int, place: int, later: str) -> tuple[int, Decimal, int]:
    swing = (place * 37 + len(symbol) * 11) % 9 - 4
    cents, after = base + swing * 60 + place * 25, place >= len(DATES) - 6 + KNOWN
    dividend = Decimal("0.75") if place in (12, 41) else Decimal(0)
    if not after or later == "plain":
        return cents, dividend, 1
    return cents * 3 // 4, Decimal("1.5"), 2 if place == len(DATES) - 1 and later == "split" else 1


def _adjusted(symbol: str, rows: Sequence[tuple[int, Decimal, int]]) -> list[str]:
    lines, factor, shares = list[str](), Decimal(1), Decimal(1)
    for place in range(len(rows) - 1, -1, -1):
        cents, dividend, ratio = rows[place]
        scale = factor / shares / 100
        prices = [round(cents * part // 1000 * scale, 4) for part in (998, 1004, 995, 1000)]
        shares *= ratio
        paid = round(dividend / shares, 6)
        lines.append(f"{DATES[place]},{symbol},{','.join(map(str, prices))},{1_000_000 * shares},{paid},{ratio}")
        if place and dividend:
            before = Decimal(rows[place - 1][0]) / 100 / shares
            factor *= (before - dividend / shares) / before
    return lines[::-1]


def spec_of(folder: Path, later: str, *, day_prices: DayPrices = "open-and-close") -> MarketSpec:
    file = adjusted_file(folder / f"{later}.csv", later)
    return MarketSpec(
        source="daily",
        path=str(file),
        start=date(2025, 3, 3),
        sessions=KNOWN if later == "end" else 6,
        day_prices=day_prices,
    )


class Momentum:
    """Holds the symbol with the higher return over twenty sessions."""

    name, times = "momentum", ""
    needs = Needs(bars=(NEED,), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Target]:
        ratios = {symbol: view.bars(symbol).close[-1] / view.bars(symbol).close[0] for symbol in view.universe}
        best = max(ratios, key=ratios.__getitem__) if ratios else ""
        return [Target(symbol, weight=Decimal(int(symbol == best)) / 2, score=ratios[symbol] - 1) for symbol in ratios]


def decided(made: BacktestSetup) -> list[str]:
    """Play the known sessions, with a pass five minutes after each open; return what was seen, decided and done."""
    lines = list[str]()
    for session in made.sessions[:KNOWN]:
        now = session.open + timedelta(minutes=5)
        made.advance(now)
        for need in (NEED, RAW):
            lines.append(repr(told(made.world.bars.closed(need, ("AAPL", "SPY"), now))))
        reconcile(made.world.reader, made.world.ledger)
        record = trade_once(made.world, Call(Job.TRADE_ONCE, session.date, "open+5m", "test"), propose(made.world, now))
        for one in record.candidates:
            lines.append(repr((one.candidate.symbol, one.candidate.score, one.candidate.quantity, one.decisions)))
        made.advance(session.close + timedelta(hours=5))
        # Ids are those of the market, which differs.
        fills = [(one.symbol, one.side, one.quantity, one.price, one.at) for one in made.world.reader.fills(None)]
        lines.append(repr((made.world.reader.view().positions, fills)))
    return lines


def test_later_prices_change_no_bar_decision_size_or_fill(tmp_path: Path) -> None:
    runs = []
    for later in ("plain", "dividends", "split", "end"):
        runs.append(decided(assemble(SETTINGS.settings, spec_of(tmp_path, later), [Momentum()], MemoryFacts())))
    assert "quantity" in runs[0][-1]
    assert [len(run) for run in runs] == [len(runs[0])] * 4
    for other in runs[1:]:
        assert other == runs[0]


def test_bars_are_those_of_the_bot_s_own_store(new_world: Callable[[MarketSpec], World], tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "split")
    world, compared = new_world(spec), 0
    made = assemble(SETTINGS.settings, spec, [], MemoryFacts())
    at_once = made.world.bars
    slowly = EngineBars(world.engine)
    with road_to(world, tmp_path) as road:
        for session in made.sessions:
            for now in (session.open + timedelta(minutes=5), session.close + timedelta(hours=6)):
                world.tick(to=rfc3339(int(now.timestamp()) * 1_000_000))
                for need in (NEED, RAW, BarNeed("1Min", 4), BarNeed("5Min", 3)):
                    straight = told(at_once.closed(need, ("AAPL", "SPY"), now))
                    assert straight == told(slowly.closed(need, ("AAPL", "SPY"), now)), (now, need)
                    assert straight == told(road.bars.closed(need, ("AAPL", "SPY"), now)), (now, need)
                    compared += len(straight)
    assert compared > 80


@pytest.mark.parametrize(("day_prices", "newest"), [("open-and-close", "2025-02-28"), ("close", "2025-03-03")])
def test_day_is_closed_at_its_open_only_with_day_prices(tmp_path: Path, day_prices: DayPrices, newest: str) -> None:
    made = assemble(SETTINGS.settings, spec_of(tmp_path, "plain", day_prices=day_prices), [], MemoryFacts())
    now = made.sessions[0].open + timedelta(minutes=5)
    bars = made.world.bars.closed(RAW, ("AAPL",), now)["AAPL"]
    assert len(bars.close) == 20
    assert bars.start_of(-1).date().isoformat() == newest
