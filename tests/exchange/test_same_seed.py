"""The same seed gives the same bytes, on any machine: the hashes stand here."""

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

from tests.exchange.test_no_look_ahead import EVERYTHING, SERIES
from tests.exchange.worlds import SYMBOLS, World, open_world
from tradebot.exchange.market.generator import GeneratedBars, session_bars
from tradebot.exchange.market.sessions import build_calendar


def playthrough(world: World) -> dict[str, str]:
    """Trade a little, then hash the log and everything served."""
    world.tick(to="open")
    world.tick(seconds=3600)
    world.order("AAPL", "buy", "12.5", client_order_id="a")
    world.order("SPY", "sell", 4)
    world.order("SPY", "sell", "nothing")
    world.tick(to="close")
    world.tick(to="next_open")
    world.tick(seconds=1800)
    served = b"".join(world.ask("GET", target).body for target in EVERYTHING)
    series = b"".join(world.ask("GET", target).body for target in SERIES)
    log = b"\n".join(world.exchange.log.lines())
    return {"served": sha256(served), "series": sha256(series), "log": sha256(log)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def test_the_same_seed_and_commands_give_the_same_bytes(new_folder: Callable[[], Path]) -> None:
    assert playthrough(open_world(new_folder())) == {
        "served": "a009c19ca68458b5910a3039",
        "series": "e2afb7b1f3fc53b0b5dcecfd",
        "log": "5bfbc9bb28864ce6e2d6518b",
    }


def test_bars_of_a_symbol_do_not_depend_on_other_symbols() -> None:
    calendar = build_calendar(date(2025, 3, 3), 2)
    few, again = GeneratedBars(7, calendar), GeneratedBars(7, calendar)
    alone = [few.bars(symbol, 1) for symbol in SYMBOLS]
    session_bars.cache_clear()
    again.bars("XOM", 1)
    assert [again.bars(symbol, 1) for symbol in SYMBOLS] == alone
    assert GeneratedBars(8, calendar).bars("AAPL", 1) != few.bars("AAPL", 1)
