"""Play sessions on the embedded exchange and follow every position from its entry to its end.

Without arguments it plays one generated session. With `--bars FILE` it plays recorded minute bars, whose first session
only serves as the previous close:

    .venv/bin/python benchmarks/trades.py --bars FILE --stamp end --start 2019-02-11 --sessions 5 \\
        --symbols AAPL,MSFT,SPY --profile intraday --protection venue --edge 0 --plot trades.svg

It prints each trade, how long positions were held, why they were closed, how long shares had no stop at the exchange,
and what fills cost. `--plot` draws the busiest symbols as SVG or PNG.
"""

import argparse
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml
from rich.console import Console

from benchmarks.support.chart import Panel, busiest, draw
from benchmarks.support.figures import Figure, show
from benchmarks.support.followed import Followed, Gap, followed, gaps, played
from benchmarks.support.sizes import sized
from benchmarks.support.trader import KEYS
from commands.exchange import faults
from commands.shared.tables import Table, number
from commands.shared.times import DAY_SECOND, stamp
from papervenue import process
from tradebot.adapters.state import state_folder
from tradebot.exits.why import parse

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.views.slippage import TotalSlippage

STATE = Path(__file__).parents[1] / "state"
EARLIER_HOLD_MIN, EARLIER_DECAY = 7.8, 94
"""What an earlier bot did: its median hold in minutes, and the percentage of its exits that were signal decay."""
DECAY = "signal_decay"
PANELS = 5
MOST_BARS = 10_000


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Follow every position of played sessions.")
    parser.add_argument("--bars", help="recorded minute bars, CSV or Parquet; a generated market without it")
    parser.add_argument("--stamp", choices=("start", "end"), help="which end of a minute dates its recorded bar")
    parser.add_argument("--start", help="date of the first session, YYYY-MM-DD")
    parser.add_argument(
        "--sessions",
        type=int,
        default=sized(None, 2),
        help="sessions in the market; of recorded bars, the first isn't traded",
    )
    parser.add_argument(
        "--symbols", default=sized(None, "SPY"), help="symbols with commas; the shipped universe without it"
    )
    parser.add_argument("--profile", help="a shipped profile; the shipped configuration without it")
    parser.add_argument("--exits", help="the list of exits as YAML, instead of the profile's")
    parser.add_argument("--protection", choices=("venue", "bot", "both"), default="venue")
    parser.add_argument("--faults", nargs="*", default=[], help="ready-made scripts or files of faults to arm")
    parser.add_argument("--edge", type=float, help="how well the flow predicts prices, 0 to 1")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", type=Path, help="make the bot in this new folder and keep it, to look at it later")
    parser.add_argument("--plot", type=Path, help="draw the busiest symbols to this file, .svg or .png")
    return parser.parse_args()


def configuration(wish: argparse.Namespace) -> dict[str, Any]:
    """Return the bot's own configuration: the profile, and what the command line says over it."""
    from tradebot.app.settings import shipped

    profile = shipped("profiles") / f"{wish.profile}.yaml" if wish.profile else None
    settings: dict[str, Any] = yaml.safe_load(profile.read_text(encoding="utf-8")) if profile else {}
    recorded = "parquet" if str(wish.bars).endswith(".parquet") else "csv"
    market = {
        "source": recorded if wish.bars else None,
        "path": str(Path(wish.bars).resolve()) if wish.bars else None,
        "bar_stamp": wish.stamp,
        "start": wish.start,
        "sessions": wish.sessions or 2,
        "edge": wish.edge,
        "seed": wish.seed,
    }
    settings["sandbox"] = {key: value for key, value in market.items() if value is not None}
    settings["exits"] = {"protection": wish.protection}
    if wish.symbols:
        settings["universe"] = wish.symbols.split(",")
    if wish.exits:
        settings.setdefault("strategies", {}).setdefault("flow", {})["exits"] = yaml.safe_load(wish.exits)
    return settings


@contextmanager
def traded(wish: argparse.Namespace) -> "Iterator[App]":
    """Yield a new bot whose sessions are over, and stop its exchange afterwards."""
    from commands.init import making as init
    from commands.shared.verb_options import progress_bar
    from tradebot.app.loading import USER_FILE, Options
    from tradebot.app.wiring import opened

    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        state, config = wish.keep or Path(name) / "bot", Path(name) / "bot.yaml"
        config.write_text(yaml.safe_dump(configuration(wish)), encoding="utf-8")
        init.run(str(state), str(config), "benchmark", {"mode": "sandbox"})
        config.rename(state / USER_FILE)
        try:
            for script in wish.faults:
                faults.run(state, "add", script)
            with opened(Options(str(state)), os.environ) as app, progress_bar("playing") as progress:
                sessions = app.settings.sandbox.sessions - 1
                for done, total in played(app, sessions):
                    progress(done, total)
                yield app
        finally:
            process.stop(state / state_folder.EXCHANGE)


def show_trades(console: Console, positions: Sequence[Followed], found: Sequence[Gap]) -> None:
    """Print a line for each position."""
    table = Table(
        "symbol", "side", number("shares"), "opened ET", "closed ET", number("held min"), number("entry"),
        number("exit"), number("gain"), number("no stop s"), number("gap s"), "why",
    )  # fmt: skip
    for one in positions:
        trade = one.trade
        own = [gap.seconds for gap in found if gap.symbol == trade.symbol and within(gap.at, one)]
        table.row(
            trade.symbol,
            "long" if trade.side.sign > 0 else "short",
            f"{trade.quantity:,f}",
            stamp(trade.opened_at, DAY_SECOND),
            stamp(trade.closed_at, DAY_SECOND) if trade.closed_at else "open",
            f"{one.hold.total_seconds() / 60:,.0f}" if one.hold else "",
            f"{trade.entry_price:,.2f}",
            f"{trade.exit_price:,.2f}" if trade.exit_price else "",
            f"{one.gain:+.2%}" if one.gain is not None else "",
            f"{one.bare_s:,.0f}",
            f"{sum(own):,.1f}" if own else "",
            ", ".join(one.why),
        )
    console.print(table)


def within(at: datetime, one: Followed) -> bool:
    """Return True if a time is within the life of a position."""
    return one.trade.opened_at <= at and (one.trade.closed_at is None or at <= one.trade.closed_at)


def rules(one: Followed) -> set[str]:
    """Return the names of everything that closed a position or a part of it, without amounts."""
    return {part.name for reason in one.why for part in parse(reason)}


def figures(positions: Sequence[Followed], found: Sequence[Gap], costs: "Sequence[TotalSlippage]") -> Iterator[Figure]:
    """Yield what all positions have in common."""
    closed = [one for one in positions if one.hold is not None]
    held_min = [one.hold.total_seconds() / 60 for one in closed if one.hold]
    names = [rules(one) for one in closed]
    decay = sum(DECAY in fired for fired in names)
    earned = sum((one.trade.realized_before_fees_usd for one in positions), Decimal(0))
    yield Figure("positions", f"{len(closed)} closed, {len(positions) - len(closed)} open")
    if closed:
        won = sum(one.trade.realized_before_fees_usd > 0 for one in closed)
        yield Figure("earned before fees", f"{won} of {len(closed)} with a gain", float(earned), "USD")
        yield Figure("median hold", f"an earlier bot: {EARLIER_HOLD_MIN}", statistics.median(held_min), "min")
        share = 100 * decay / len(closed)
        yield Figure("closed by signal decay", f"an earlier bot: {EARLIER_DECAY}", share, "%")
        for rule, count in Counter(rule for fired in names for rule in fired).most_common():
            yield Figure(f"  with {rule}", f"{count} positions", 100 * count / len(closed), "%")
    first = [one.first_stop_s for one in positions if one.first_stop_s is not None]
    yield Figure("with a stop at the exchange", f"{len(first)} of {len(positions)} positions")
    if first:
        yield Figure("from the first fill to the stop", f"at most {max(first):.0f} s", statistics.median(first), "s")
        bare = [one.bare_s for one in positions]
        yield Figure("without a stop in all", f"at most {max(bare):.0f} s", statistics.median(bare), "s")
    for why, count in Counter(gap.why for gap in found).most_common():
        seconds = [gap.seconds for gap in found if gap.why == why]
        yield Figure(f"gap: {why}", f"{count}, at most {max(seconds):.1f} s", statistics.median(seconds), "s")
    for cost in costs:
        if cost.total:
            known = f"{cost.known} of {cost.of} fills"
            yield Figure(f"slippage against mid at {cost.against}", known, float(cost.total.bps), "bps")


def panels(app: "App", positions: Sequence[Followed]) -> list[Panel]:
    """Return what is drawn: the symbols with the most positions, over all sessions that were traded."""
    first = min(one.trade.opened_at for one in positions).replace(hour=0, minute=0)
    found = []
    for symbol in busiest(positions, PANELS):
        query = {"symbols": symbol, "timeframe": "1Min", "start": first.isoformat(), "limit": str(MOST_BARS)}
        answer = requests.get(f"{app.exchange_url}/v2/stocks/bars", query, headers=KEYS, timeout=60)
        closes = [(datetime.fromisoformat(bar["t"]), Decimal(str(bar["c"]))) for bar in answer.json()["bars"][symbol]]
        found.append(Panel(symbol, closes, [one for one in positions if one.trade.symbol == symbol]))
    return found


def main() -> None:
    """Play, print and draw."""
    from commands.demo.report import check
    from commands.fills import run as fills

    wish, console = arguments(), Console(width=170)
    with traded(wish) as app:
        positions, found = followed(app, app.folder.exchange / "log.jsonl"), gaps(app)
        show_trades(console, positions, found)
        marks = app.reader.quotes([one.trade.symbol for one in positions if one.hold is None])
        _, differences = check(app, {symbol: quote.last for symbol, quote in marks.items()})
        assert not differences, differences
        profile, edge = wish.profile or "shipped configuration", app.settings.sandbox.edge
        title = f"{profile}, protection {wish.protection}, edge {edge:g}"
        show(title, figures(positions, found, fills(app, None).data.slippage))
        if wish.plot and positions:
            draw(title, panels(app, positions), wish.plot)


if __name__ == "__main__":
    main()
