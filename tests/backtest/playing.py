"""A backtest from the command line in an hour's time of the market, traded by strategies of the tests."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from commands.backtest import playing
from tests.backtest.drawn import Whims
from tradebot.ports.strategy import Strategy

CONFIGURATION = """
universe: [AAPL, MSFT]
limits: {cooldown_s: 60}
timetable:
  score: at open+30m
  evaluate-exits: every 5m from open+1m until open+60m
  trade-once: every 10m from open+2m until open+50m
  reconcile: every 30m from open+1m until open+60m
"""
TRADER = Whims(5, 0.7)


def configured(folder: Path, more: str = "") -> Path:
    file = folder / "quick.yaml"
    file.write_text(CONFIGURATION + more)
    return file


@contextmanager
def traded_by(strategies: Callable[[], Sequence[Strategy]] = lambda: [TRADER]) -> Iterator[None]:
    """Let the strategies of a test trade in place of the configured ones, each time they are loaded."""

    @contextmanager
    def loaded(planned: object) -> Iterator[Sequence[Strategy]]:
        yield strategies()

    with patch.object(playing, "loaded", loaded):
        yield
