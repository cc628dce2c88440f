"""A `serve` that runs for months: what its passes leave in memory, counted each morning."""

import functools
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from commands import serve
from jobs.runner import LogKind, LogLine
from tests.kit.bot.folder import made
from tests.kit.values import NOW
from tradebot.adapters.ledger.rows import decode_cached
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import OwnedFill
from tradebot.replaying.record_writer import PartCache

MORNINGS = 4
TIMETABLE = """
timetable:
  outcomes: null
  parity: null
  report: null
  summary: null
  audit: null
  backup: null
  fetch-flow: every 90m from open+2m until close
  score: every 90m from open+2m until close
  evaluate-exits: every 10m from open+2m until close
  trade-once: every 90m from open+2m until close
  reconcile: every 90m from open+1m until close
"""
"""Chores would be processes of their own."""


ROW = json_text(encode(OwnedFill("flow", Fill("a-1", "v-1", "AAPL", Side.BUY, Decimal(1), Decimal(100), NOW))))


class EnoughError(Exception):
    """Raised out of `serve` on the last morning."""


class Scales:
    """Counts passes, small blocks of memory and open files after the first pass of each day.

    What caches of a fixed size hold doesn't count; they fill within days, and then stay as they are.
    """

    def __init__(self) -> None:
        self.day: date | None = None
        self.passes = 0
        self.weighed: list[tuple[int, int, int]] = []
        self.others = descriptors()
        self.opened = [frozenset[tuple[str, str]]()]
        """What was open each morning besides that, which earlier tests of this process have left."""
        self.parsed: OwnedFill | None = None
        self.kept = 0
        """How many mornings began with a row that was parsed on the day before."""

    def __call__(self, line: LogLine) -> None:
        self.passes += line.kind is LogKind.RAN
        if line.kind is not LogKind.RAN or line.at.date() == self.day:
            return
        self.day = line.at.date()
        self.kept += decode_cached(OwnedFill, ROW) is self.parsed
        empty_bounded_caches()
        gc.collect()
        self.opened.append(descriptors() - self.others)
        self.weighed.append((self.passes, sys.getallocatedblocks(), len(self.opened[-1])))
        self.parsed = decode_cached(OwnedFill, ROW)
        if len(self.weighed) == MORNINGS:
            raise EnoughError


def descriptors() -> frozenset[tuple[str, str]]:
    """Return the numbers of what this process has open, each with what it stands for."""
    found = set[tuple[str, str]]()
    for number in os.listdir("/proc/self/fd"):
        # The folder that is listed is closed by now.
        with suppress(OSError):
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return frozenset(found)


def empty_bounded_caches() -> None:
    """Empty each cache that can't grow for ever; what others keep counts."""
    for found in [found for module in [*sys.modules.values()] for found in vars(module).values()]:
        if isinstance(found, functools._lru_cache_wrapper) and found.cache_info().maxsize is not None:
            found.cache_clear()
    for remembered in [found for found in gc.get_objects() if isinstance(found, PartCache)]:
        remembered.forget()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_FLOW_AGE_S", "7200")
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_RECONCILE_AGE_S", "7200")
    flags = ("--symbols", "AAPL", "--sessions", str(MORNINGS))
    with made(tmp_path / "state", *flags, settings=TIMETABLE) as path, open_app(Options(str(path)), os.environ) as app:
        yield app


@pytest.mark.campaign
def test_a_day_of_passes_leaves_nothing_in_memory_and_no_file_open(app: App) -> None:
    scales = Scales()
    with pytest.raises(EnoughError):
        serve.run(app, by="test", speed=1_000_000, tell=scales)
    _, *settled = scales.weighed
    days = [tuple(after - before for before, after in zip(*two, strict=True)) for two in pairwise(settled)]
    passes = sum(day[0] for day in days)
    assert passes >= 100
    assert min(blocks for _, blocks, _ in days) < passes / len(days), "each pass leaves a block of memory behind"
    assert scales.kept == 0, "what was parsed for a day is let go with it"
    # A connection that broke is opened again later, maybe on the next day. What leaks does so on every day.
    more = [sorted(after - before) for before, after in pairwise(scales.opened[2:])]
    assert min(files for _, _, files in days) <= 0, more
