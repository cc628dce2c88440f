"""A bot with every piece of a shipped profile on its road of orders, whose strategy trades more often than that one.

The profile's own strategy waits for days. So another one stands in its place, under its name and with its limits, its
exits and its auction. It wants what a schedule draws, with a stop, targets and a range so near that minutes meet them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from commands.trade_once import run as trade_once
from tests.kit import venues
from tests.kit.core.venue import Wanting
from tests.kit.judge import account as judge
from tests.kit.judge.pairs import OPEN, PROTECT
from tests.kit.venues import AT
from tradebot.adapters.bars.store import SqliteBars
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.null_ports import NoEvents
from tradebot.app.settings import shipped_path
from tradebot.app.wiring import App
from tradebot.model.candidate import Side
from tradebot.model.view import Open

Event = Mapping[str, Any]
D = Decimal
CLOSE = ".CLOSE."
STOP, RANGE, TARGET = D("0.004"), D("0.002"), D("0.013")
MOST = 1
"""So many positions an auction of a day has room for; the limits of the account have room for more."""
FIRST_SCORE, BETTER = 0.3, 0.05
"""Scores rise by so much from one entry to the next: each newcomer is worth a swap."""
OWN_LIMITS: Mapping[str, object] = {
    "cooldown_s": 1,
    "duplicate_window_s": 1,
    "loss_cooldown_s": 2,
    "max_order_notional_usd": 2000,
    # Steps of a few minutes don't pay for what they cost.
    "min_edge_ratio": None,
    "min_score": 0.1,
    "min_coverage": 0.1,
}
"""What a day of minutes needs otherwise than the profile says."""
OWN_REGISTRY = {"enabled": True, "health": {"min_candles": 1}}
"""A market of a few days has few candles of four hours."""


def configuration(symbols: Sequence[str], most: int = MOST) -> str:
    """Return the profile's configuration for a few symbols, with what a day of minutes needs otherwise."""
    profile: dict[str, Any] = load_yaml(shipped_path("profiles") / f"{AT.profile}.yaml", shipped=True)
    own = profile["strategies"][AT.profile]
    free = dict.fromkeys(("max_cost_fraction", "max_cost_of_stop_fraction", "max_funding_fraction"))
    for setup in ("tight", "wide"):
        own[setup] |= free
    profile |= {
        "universe": list(symbols),
        "sectors": dict.fromkeys(AT.symbols, "coins"),
        "registry": OWN_REGISTRY,
        "limits": profile["limits"] | OWN_LIMITS,
        "auction": profile["auction"]
        | {"max_positions": most, "min_age_s": 60, "cooldown_s": 61, "min_advantage": 0.03},
    }
    return json.dumps(profile, default=float)


def keep_bars_in_sqlite(folder: Path) -> None:
    """Let a bot keep its bars in SQLite: what reads Parquet has threads, and a process with threads can't be forked."""
    SqliteBars(folder, NoEvents(), datetime.now(UTC)).close()


def strategy(wanted: Mapping[str, str], number: int) -> Wanting:
    """Return the strategy of one pass, which wants what was drawn; a later pass wants it more."""
    score = min(FIRST_SCORE + BETTER * number, 1.0)
    sides = {symbol: Side(side) for symbol, side in wanted.items()}
    return Wanting(*(_open(symbol, side, score) for symbol, side in sides.items()), name=AT.profile)


def entries(wanted: Mapping[str, str], number: int, by: str = "schedule") -> Callable[[App], int]:
    """Return a pass of entries in which the strategy wants what was drawn."""

    def verb(app: App) -> int:
        app.__dict__["strategies"] = (strategy(wanted, number),)
        return int(trade_once.run(app, by=by, force_slot=True).exit_code)

    return verb


def _open(symbol: str, side: Side, score: float) -> Open:
    return Open(
        symbol,
        side,
        score * side.sign,
        1.0,
        stop_loss_fraction=STOP,
        profit_target_fraction=TARGET,
        atr_fraction=RANGE,
        cluster=f"{side} cluster",
    )


def broken(events: Sequence[Event], most: int = MOST) -> Iterator[str]:
    """Yield where a bot that holds auctions broke a law, by the log of its account."""
    yield from too_early(events, most)
    yield from let_go(events)
    yield from moved_away(events)


def too_early(events: Iterable[Event], most: int) -> Iterator[str]:
    """Yield entries that were asked for while what is held and what may still open left no room for them.

    An entry that an auction makes room for is sent only after the close that it needs has filled.
    """
    held, working = dict[str, Decimal](), dict[str, str]()
    for event in events:
        asked = AT.asked(event)
        if asked is not None and asked.is_new and OPEN in asked.client_order_id:
            others = {*(symbol for symbol, quantity in held.items() if quantity), *working.values()} - {asked.symbol}
            if len(others) >= most and not asked.client_order_id.startswith((venues.STRANGER, venues.COPY)):
                yield f"{asked.client_order_id} opens {asked.symbol} while {sorted(others)} still need their room"
        if "order_id" not in event:
            continue
        if OPEN in event["client_order_id"]:
            working[event["order_id"]] = event["symbol"]
        if event["status"] in judge.ENDED:
            working.pop(event["order_id"], None)
        if event["event"] == "fill":
            held[event["symbol"]] = D(event["position"])


def swaps(events: Iterable[Event]) -> int:
    """Return how many entries followed the close of a position in another symbol."""
    left, found = "", 0
    for event in events:
        if event["event"] == "fill" and CLOSE in event["client_order_id"] and not D(event["position"]):
            left = event["symbol"]
        elif event["event"] == "order_accepted" and OPEN in event["client_order_id"]:
            found += left not in ("", event["symbol"])
    return found


def let_go(events: Iterable[Event]) -> Iterator[str]:
    """Yield stops that the bot asked to cancel while the others, and exits, covered less than what was held.

    A halt, a swap and a stop that moves are no reasons: whatever the bot wants, a new stop rests first.
    """
    held, resting = dict[str, Decimal](), dict[str, Event]()
    for event in events:
        asked = AT.asked(event)
        stop = resting.get(asked.target) if asked is not None else None
        if stop is not None and stop.get("stop_price"):
            symbol, others = stop["symbol"], (one for one in resting.values() if one is not stop)
            covered = sum((_left(one) for one in others if one["symbol"] == symbol), D(0))
            if covered < abs(held.get(symbol, D(0))):
                yield f"{event['seq']}: a stop of {symbol} is canceled, {held[symbol]} are held and {covered} covered"
        if "order_id" not in event:
            continue
        serves = event.get("stop_price") or CLOSE in event["client_order_id"]
        if serves and event["status"] in ("new", "partially_filled"):
            resting[event["order_id"]] = event
        elif event["status"] in judge.ENDED:
            resting.pop(event["order_id"], None)
        if event["event"] == "fill":
            held[event["symbol"]] = D(event["position"])


def _left(order: Event) -> Decimal:
    return D(order["qty"]) - D(order["filled_qty"])


def moved_away(events: Iterable[Event]) -> Iterator[str]:
    """Yield stops that were placed further from profit than one of the same position before.

    While an entry fills, its price moves, and what is counted from it begins again.
    """
    best = dict[str, Decimal]()
    for event in (event for event in events if "order_id" in event):
        symbol, ours = event["symbol"], PROTECT in event["client_order_id"]
        if event["event"] == "fill" and (OPEN in event["client_order_id"] or not D(event["position"])):
            best.pop(symbol, None)
        if event["event"] == "order_accepted" and event.get("stop_price") and ours:
            price = D(event["stop_price"]) * (1 if event["side"] == "sell" else -1)
            if price < best.get(symbol, price):
                yield f"the stop of {symbol} moved from {abs(best[symbol])} to {abs(price)}"
            best[symbol] = max(price, best.get(symbol, price))
